"""A worker without an engine: takes wake-ups from the real queue, claims, writes a round, ends.

``python -m benchmarks.gateway.fake_worker DATABASE_URL REDIS_URL MODEL LOG SECONDS``: until SIGTERM.
Each claim becomes a line of JSON: when, which job, and the fences of its prompts. SECONDS: how long
a group takes the engine that is not there.
"""

from __future__ import annotations

import json
import os
import sys
import threading
import time
from pathlib import Path

from celery import signals

from benchmarks.gateway.running import ANSWER, a_round
from db import results, trace, turns
from db.session import make_engine, sessions
from prelogit.core.records import Result
from prelogit.wire.wakeup import RUN_GROUP, queue_of
from workers.app import make_app


def main() -> None:
    database_url, redis_url, model, log, seconds = sys.argv[1:]
    store = sessions(make_engine(database_url))
    lines = Path(log).open("a", buffering=1)  # noqa: SIM115 - for as long as the process
    app = make_app(redis_url, queue_of(model))
    row, kept = a_round(1)
    stopping = threading.Event()

    def task(group_id: str) -> None:
        while not stopping.is_set() and one(group_id):
            pass

    def one(group_id: str) -> bool:
        with store.begin() as session:
            claim = turns.claim(
                session, group_id, owner=f"w{os.getpid()}", model=model, ttl_seconds=60
            )
        if claim is None:
            return False
        fences = {prompt.prompt_id: prompt.fence for prompt in claim.prompts}
        told = {"at": time.time(), "job": claim.job_id, "fences": fences}
        lines.write(json.dumps(told) + "\n")
        stopping.wait(float(seconds))
        for prompt in claim.prompts:
            result = Result(
                prompt_id=prompt.prompt_id, status="succeeded", response=ANSWER, reward=row.best
            )
            with store.begin() as session:
                trace.append(session, claim, prompt.prompt_id, 0, row, kept)
            with store.begin() as session:
                results.finish(session, claim, prompt.prompt_id, result)
        return True

    app.task(task, name=RUN_GROUP, shared=False)
    signals.worker_shutting_down.connect(lambda **_: stopping.set(), weak=False)
    signals.setup_logging.connect(lambda **_: None, weak=False)
    worker = app.Worker(
        hostname=f"fake-{os.getpid()}", queues=[app.conf.task_default_queue], pool="threads",
        concurrency=1, without_gossip=True, without_mingle=True, quiet=True,
    )  # fmt: skip
    print("ready", flush=True)
    worker.start()


if __name__ == "__main__":
    main()
