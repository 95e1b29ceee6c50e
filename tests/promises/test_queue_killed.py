"""The queue may lose or double any wake-up at any time; no job is lost and none runs twice."""

from __future__ import annotations

import signal

from sqlalchemy import func, select

from api.wakeups import make_producer
from db.models import ResultRow, WakeupRow
from db.session import reading
from prelogit.wire.wakeup import QUEUE, RUN_GROUP
from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack


def waiting_wakeups(stack: Stack) -> int:
    with reading(stack.store) as session:
        return session.scalar(select(func.count()).select_from(WakeupRow)) or 0


def test_a_killed_queue_loses_no_job_and_stops_no_search(stack: Stack) -> None:
    mood, worker = stack.reward.mood, stack.worker()
    mood.hold(after=METHOD["n"])
    running = stack.post(["What is running?"])
    until(lambda: mood.holds, "a search is under way")
    sent = stack.post(["What was sent?"])
    until(lambda: waiting_wakeups(stack) == 0, "its wake-up is on the queue")

    stack.queue.kill()
    unsent = stack.post(["What cannot be sent?"])
    mood.clear()
    assert stack.ended(running).status == "succeeded"  # without a queue
    assert stack.job(unsent).status == "queued"

    stack.queue.start()
    assert stack.ended(sent).status == "succeeded"
    assert stack.ended(unsent).status == "succeeded"
    assert worker.running


def test_a_queue_that_forgot_everything_loses_no_job(stack: Stack) -> None:
    lost = stack.post(["Who remembers?"])
    until(lambda: waiting_wakeups(stack) == 0, "its wake-up is on the queue")
    stack.queue.kill()
    stack.queue.forget()
    stack.queue.start()
    worker = stack.worker()
    assert stack.ended(lost).status == "succeeded"
    assert worker.end(signal.SIGTERM) == 0


def test_wakeups_that_come_many_times_or_make_no_sense_do_no_harm(standing: Stack) -> None:
    mood = standing.reward.mood
    mood.hold(after=METHOD["n"])
    job_id = standing.post(["Who calls so often?"])
    (group,) = standing.groups(job_id)
    producer = make_producer(standing.queue.url)
    try:
        for argument in (*[group] * 10, "grp_unknown", "", None, 17, {"a": [1]}):
            producer.send_task(RUN_GROUP, args=[argument], queue=QUEUE)
        producer.send_task(RUN_GROUP, args=[], queue=QUEUE)
        producer.send_task("no.such.task", args=[group], queue=QUEUE)
        until(lambda: mood.holds, "a search is under way")
        mood.clear()
        assert standing.ended(job_id).status == "succeeded"
        for _ in range(3):
            producer.send_task(RUN_GROUP, args=[group], queue=QUEUE)
    finally:
        producer.pool.force_close_all()
        producer.close()
    assert standing.ended(standing.post(["Who is next?"])).status == "succeeded"
    assert len(mood.calls("Who calls so often?")) == 16
    with reading(standing.store) as session:
        rows = select(func.count()).where(ResultRow.job_id == job_id)
        assert session.scalar(rows) == 1
