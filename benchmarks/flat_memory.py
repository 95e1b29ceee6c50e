"""How much memory a gateway needs for one very large job: accepted, listed, paged, exported.

``python -m benchmarks.flat_memory [--prompts 100000]``: a gateway process on a fresh SQLite store,
without a worker; its resident memory is read from /proc after and during each step.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx

from benchmarks.report import table, write
from tests.workers.processes import Child, environment, free_port, python
from tests.workers.services import save_model

MEGABYTE = 2**20
SAMPLE_SECONDS = 0.02
PAGE = 200


def resident(pid: int) -> float:
    """Resident memory of a process now, in MB."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * 4096 / MEGABYTE


class Peak:
    """The most resident memory of a process while a block runs, in MB."""

    def __init__(self, pid: int) -> None:
        self._pid, self.most, self.seconds = pid, 0.0, 0.0
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE_SECONDS):
            self.most = max(self.most, resident(self._pid))

    def __enter__(self) -> Peak:
        self._begun = time.monotonic()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self.seconds = time.monotonic() - self._begun


def body(prompts: int) -> Iterator[bytes]:
    """The job, in pieces."""
    yield b'{"prompts": ['
    for number in range(prompts):
        text = f"Tell me fact number {number} about the sea, and why it matters to whales."
        yield (", " if number else "").encode() + json.dumps(text).encode()
    yield b'], "max_new_tokens": 8}'


def post(client: httpx.Client, prompts: int) -> str:
    """The id of the job."""
    headers = {"Content-Type": "application/json"}
    answer = client.post("/v1/jobs", content=body(prompts), headers=headers)
    answer.raise_for_status()
    return str(answer.json()["id"])


def page(client: httpx.Client, job_id: str, pages: int) -> int:
    """How many results were on so many pages."""
    cursor, seen = None, 0
    for _ in range(pages):
        known = {"limit": PAGE} | ({} if cursor is None else {"cursor": cursor})
        answer = client.get(f"/v1/jobs/{job_id}/results", params=known).raise_for_status().json()
        seen, cursor = seen + len(answer["data"]), answer["next_cursor"]
        if cursor is None:
            break
    return seen


def export(client: httpx.Client, job_id: str) -> int:
    """How many lines the export has, once the job was cancelled."""
    client.post(f"/v1/jobs/{job_id}/cancel").raise_for_status()
    with client.stream("GET", f"/v1/jobs/{job_id}/results.jsonl") as answer:
        return sum(1 for _ in answer.iter_lines())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--pages", type=int, default=50, help="of results that are read")
    parser.add_argument("--out", type=Path, default=None)
    told = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="prelogit-flat-") as name:
        folder, port = Path(name), free_port()
        env = environment(
            home=folder / "home",
            model=save_model(folder / "model"),
            port=port,
            redis_url=f"redis://127.0.0.1:{free_port()}/0",
            max_prompts=told.prompts,
            max_body_bytes=200 * told.prompts,
        )
        gateway = Child(python("api"), folder / "gateway.log", env)
        try:
            gateway.until_said("Application startup complete")
            rows = [["started", 0.0, resident(gateway.pid), resident(gateway.pid), 0]]
            client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600)
            job = {"id": ""}

            def accepted() -> int:
                job["id"] = post(client, told.prompts)
                return told.prompts

            steps: list[tuple[str, Callable[[], int]]] = [
                ("accepted", accepted),
                ("listed", lambda: len(client.get("/v1/jobs").raise_for_status().json()["data"])),
                ("paged", lambda: page(client, job["id"], told.pages)),
                ("exported", lambda: export(client, job["id"])),
            ]
            for step, work in steps:
                with Peak(gateway.pid) as peak:
                    count = work()
                rows.append([step, peak.seconds, peak.most, resident(gateway.pid), count])
        finally:
            gateway.kill()
    columns = ("step", "seconds", "most MB", "MB afterwards", "entries")
    print(table(f"A job of {told.prompts:,} prompts", columns, rows))
    results = [dict(zip(columns, row, strict=True)) for row in rows]
    write(told.out, "flat_memory", told, {"steps": results})


if __name__ == "__main__":
    main()
