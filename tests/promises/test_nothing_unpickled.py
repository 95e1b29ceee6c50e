"""Whoever reaches the queue can wake workers, and cannot have them run anything."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest
from kombu import Connection, Queue

from prelogit.wire.wakeup import RUN_GROUP, queue_of
from tests.workers.stack import Stack


class Attack:
    """Makes a file when it is unpickled."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.trace,)


@pytest.mark.parametrize(
    "content_type",
    ["application/x-python-serialize", "application/x-yaml", "application/json", "text/plain"],
)
def test_a_pickled_message_runs_nothing_and_stops_nobody(
    standing: Stack, tmp_path: Path, content_type: str
) -> None:
    trace = tmp_path / "trace"
    workers = [worker for worker in standing.workers if worker.running]
    assert workers
    name = queue_of(standing.model)
    with Connection(standing.queue.url) as connection:
        producer = connection.Producer()
        for place in range(4):
            producer.publish(
                pickle.dumps(((Attack(trace),), {}, {})),
                routing_key=name,
                declare=[Queue(name, routing_key=name)],
                content_type=content_type,
                content_encoding="binary",
                headers={"task": RUN_GROUP, "id": f"attack-{place}", "lang": "py"},
            )
    job_id = standing.post(["Who still works?"])
    assert standing.ended(job_id).status == "succeeded"
    assert not trace.exists()
    assert all(worker.running for worker in workers)
    pickle.loads(pickle.dumps(Attack(trace)))
    assert trace.exists()  # it would have worked
