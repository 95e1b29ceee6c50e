"""How much a gateway bears: ``python -m benchmarks.gateway``.

A real gateway process on an embedded Valkey and on SQLite or PostgreSQL. First requests of 1 to 64
clients without anything that runs, then the same while prompts run whose rounds are written, then
workers without an engine that follow the queue behind a long job.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.gateway import claiming
from benchmarks.gateway.requests import Load, get, measure, post
from benchmarks.gateway.running import Rounds, claim_all
from benchmarks.gateway.stack import Stack, running
from benchmarks.report import table, write

PROMPTS_A_JOB = 100
SMALL = {"prompts": ["Why is the sea salt?"], "max_new_tokens": 16}


def requests(stack: Stack, ids: list[str], told: argparse.Namespace, when: str) -> list[Load]:
    """Each kind of request, by each number of clients."""
    status = [get(f"/v1/jobs/{job}") for job in ids]
    kinds = {
        "submit": ([post("/v1/jobs", SMALL)], 0.0),
        "status": (status, 0.0),
        "status each second": (status, 1.0),
        "results": ([get(f"/v1/jobs/{job}/results?limit=20") for job in ids], 0.0),
    }
    return [
        measure(
            f"{kind}, {when}", stack.url, stack.pid, wires,
            clients=n, seconds=told.seconds, every=every,
        )
        for kind, (wires, every) in kinds.items()
        for n in told.clients
    ]  # fmt: skip


def on(database: str, told: argparse.Namespace) -> tuple[list[Load], list[claiming.Claims]]:
    """All of it on one database."""
    with _stack(database, told) as stack:
        loads = _requests(stack, told)
    # On a store of its own: jobs that still wait there would have turns of theirs.
    with _stack(database, told) as stack:
        stack.post(told.long)
        claims = [
            claiming.measure(stack, workers, engine=engine, seconds=told.work_seconds)
            for engine in told.engine
            for workers in told.workers
        ]
    return loads, claims


@contextmanager
def _stack(database: str, told: argparse.Namespace) -> Iterator[Stack]:
    with tempfile.TemporaryDirectory(prefix="prelogit-load-") as name:
        # Another user runs PostgreSQL, and has to come by.
        Path(name).chmod(0o755)
        with running(Path(name), database, max_prompts=max(told.long, PROMPTS_A_JOB)) as stack:
            yield stack


def _requests(stack: Stack, told: argparse.Namespace) -> list[Load]:
    ids = [stack.post(PROMPTS_A_JOB) for _ in range(max(1, told.running // PROMPTS_A_JOB))]
    loads = requests(stack, ids, told, "idle")
    claims = claim_all(stack.store, stack.model, told.running)
    with Rounds(stack.store, claims, a_second=told.rate) as rounds:
        loads += requests(stack, ids, told, "running")
    print(f"{rounds.written} rounds were written meanwhile")
    return loads


def _several(text: str) -> list[int]:
    return [int(part) for part in text.split(",")]


def main(words: Iterable[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--databases", default="sqlite,postgresql")
    parser.add_argument("--clients", type=_several, default=[1, 4, 16, 64])
    parser.add_argument("--seconds", type=float, default=5.0, help="of each kind of request")
    parser.add_argument("--running", type=int, default=10_000, help="prompts that run")
    parser.add_argument("--rate", type=float, default=20.0, help="rounds a second that are written")
    parser.add_argument("--long", type=int, default=100_000, help="prompts of the long job")
    parser.add_argument("--workers", type=_several, default=[1, 2, 4, 8])
    parser.add_argument(
        "--work-seconds", type=float, default=20.0, help="of each number of workers"
    )
    parser.add_argument(
        "--engine", type=float, nargs="+", default=[0.0, 2.0], help="seconds that a group takes"
    )
    parser.add_argument("--out", type=Path, default=None)
    told = parser.parse_args(None if words is None else list(words))
    found = {}
    for database in told.databases.split(","):
        loads, claims = on(database, told)
        found[database] = {"requests": loads, "workers": claims}
        title = f"{database}: requests (milliseconds)"
        print(table(title, Load._fields, loads))
        print(table(f"{database}: workers", claiming.Claims._fields, claims))
        write(told.out, "gateway", told, {"databases": found})


if __name__ == "__main__":
    main()
