"""How much memory a gateway needs for one very large job, from its post to its end.

``python -m benchmarks.flat_memory [--prompts 100000]``: a gateway process on a fresh store, without a
worker; its resident memory is read from /proc after and during each step. The job is posted as lines,
looked at in every way, cancelled, exported and deleted; then it is posted as one JSON object.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx

from benchmarks.report import table, write
from tests.conftest import running_postgres
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


def texts(prompts: int) -> Iterator[bytes]:
    """The prompts, each as JSON."""
    for number in range(prompts):
        text = f"Tell me fact number {number} about the sea, and why it matters to whales."
        yield json.dumps(text).encode()


def lines(prompts: int) -> Iterator[bytes]:
    """The job as lines, in pieces."""
    yield b'{"max_new_tokens": 8}\n'
    for text in texts(prompts):
        yield text + b"\n"


def whole(prompts: int) -> Iterator[bytes]:
    """The job as one JSON object, in pieces."""
    yield b'{"max_new_tokens": 8, "prompts": ['
    for number, text in enumerate(texts(prompts)):
        yield (b", " if number else b"") + text
    yield b"]}"


class Steps:
    """One job, step by step; each returns how many entries it has seen."""

    def __init__(self, client: httpx.Client, prompts: int, pages: int) -> None:
        self._client, self._prompts, self._pages = client, prompts, pages
        self._at = ""

    def streamed(self) -> int:
        return self._post(lines(self._prompts), "application/x-ndjson")

    def posted_whole(self) -> int:
        return self._post(whole(self._prompts), "application/json")

    def listed(self) -> int:
        return sum(len(job["request"]["prompts"]) for job in self._get("/v1/jobs")["data"])

    def looked_at(self) -> int:
        return len(self._get(self._at)["request"]["prompts"])

    def prompts(self) -> int:
        return self._paged(f"{self._at}/prompts")

    def results(self) -> int:
        return self._paged(f"{self._at}/results")

    def cancelled(self) -> int:
        answer = self._client.post(f"{self._at}/cancel").raise_for_status().json()
        return int(answer["counts"]["cancelled"])

    def exported(self) -> int:
        with self._client.stream("GET", f"{self._at}/results.jsonl") as answer:
            return sum(1 for _ in answer.iter_lines())

    def deleted(self) -> int:
        self._client.delete(self._at).raise_for_status()
        return 0

    def _post(self, content: Iterator[bytes], kind: str) -> int:
        headers = {"Content-Type": kind}
        answer = self._client.post("/v1/jobs", content=content, headers=headers)
        job = answer.raise_for_status().json()
        self._at = job["links"]["self"]
        return int(job["counts"]["total"])

    def _get(self, path: str, **query: str | int) -> dict[str, Any]:
        return dict(self._client.get(path, params=query).raise_for_status().json())

    def _paged(self, path: str) -> int:
        cursor, seen = {}, 0
        for _ in range(self._pages):
            page = self._get(path, limit=PAGE, **cursor)
            seen += len(page["data"])
            if page["next_cursor"] is None:
                break
            cursor = {"cursor": page["next_cursor"]}
        return seen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=int, default=100_000)
    parser.add_argument("--pages", type=int, default=50, help="of prompts and of results")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--out", type=Path, default=None)
    told = parser.parse_args()
    with ExitStack() as stack:
        name = stack.enter_context(tempfile.TemporaryDirectory(prefix="prelogit-flat-"))
        folder, port = Path(name), free_port()
        store = {}
        if told.database == "postgresql":
            store["database_url"] = stack.enter_context(running_postgres())
        env = environment(
            home=folder / "home",
            model=save_model(folder / "model"),
            port=port,
            redis_url=f"redis://127.0.0.1:{free_port()}/0",
            max_prompts=told.prompts,
            max_body_bytes=200 * told.prompts,
            **store,
        )
        gateway = Child(python("api"), folder / "gateway.log", env)
        stack.callback(gateway.kill)
        gateway.until_said("Application startup complete")
        rows = [["started", 0.0, resident(gateway.pid), resident(gateway.pid), 0]]
        client = httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=600)
        job = Steps(client, told.prompts, told.pages)
        steps: list[tuple[str, Callable[[], int]]] = [
            ("posted as lines", job.streamed),
            ("listed", job.listed),
            ("looked at", job.looked_at),
            ("pages of prompts", job.prompts),
            ("pages of results", job.results),
            ("cancelled", job.cancelled),
            ("exported", job.exported),
            ("deleted", job.deleted),
            ("posted as JSON", job.posted_whole),
        ]
        for step, work in steps:
            with Peak(gateway.pid) as peak:
                count = work()
            rows.append([step, peak.seconds, peak.most, resident(gateway.pid), count])
            print(*rows[-1], flush=True)
    columns = ("step", "seconds", "most MB", "MB afterwards", "entries")
    print(table(f"A job of {told.prompts:,} prompts, {told.database}", columns, rows))
    results = [dict(zip(columns, row, strict=True)) for row in rows]
    write(told.out, "flat_memory", told, {"steps": results})


if __name__ == "__main__":
    main()
