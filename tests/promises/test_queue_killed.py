"""The queue may lose or double any wake-up at any time; no job is lost and none runs twice."""

from __future__ import annotations

from sqlalchemy import func, select

from db.models import ResultRow
from db.session import reading
from prelogit.wire.wakeup import RUN_GROUP
from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack


def test_a_killed_queue_loses_no_job_and_stops_no_search(standing: Stack) -> None:
    mood = standing.reward.mood
    mood.hold(after=METHOD["n"])
    searching = [standing.post([f"What is running, {name}?"]) for name in ("one", "two")]
    until(lambda: all(standing.job(j).status == "running" for j in searching), "both search")
    sent = standing.post(["What was sent?"])
    until(lambda: not standing.unsent(), "its wake-up is on the queue")

    standing.queue.kill()
    unsent = standing.post(["What cannot be sent?"])
    assert standing.job(unsent).status == "queued"
    mood.clear()
    # Without a queue: workers that are awake follow the store until nothing waits there.
    for job_id in (*searching, sent, unsent):
        assert standing.ended(job_id).status == "succeeded"

    asleep = standing.post(["Who wakes them?"])
    standing.queue.start()
    assert standing.ended(asleep).status == "succeeded"


def test_a_queue_that_forgot_everything_loses_no_job(standing: Stack) -> None:
    mood = standing.reward.mood
    mood.hold(after=0)
    searching = [standing.post([f"What is running, {name}?"]) for name in ("one", "two")]
    until(lambda: all(standing.job(j).status == "running" for j in searching), "both search")
    lost = standing.post(["Who remembers?"])
    until(lambda: not standing.unsent(), "its wake-up is on the queue")
    standing.queue.kill()
    standing.queue.forget()
    standing.queue.start()
    mood.clear()
    for job_id in (*searching, lost):
        assert standing.ended(job_id).status == "succeeded"


def test_wakeups_that_come_many_times_or_make_no_sense_do_no_harm(standing: Stack) -> None:
    mood = standing.reward.mood
    mood.hold(after=METHOD["n"])
    job_id = standing.post(["Who calls so often?"])
    (group,) = standing.groups(job_id)
    for argument in (*[group] * 10, "grp_unknown", "", None, 17, {"a": [1]}):
        standing.send(RUN_GROUP, argument)
    standing.send(RUN_GROUP)
    standing.send("no.such.task", group)
    until(lambda: mood.holds, "a search is under way")
    mood.clear()
    assert standing.ended(job_id).status == "succeeded"
    for _ in range(3):
        standing.send(RUN_GROUP, group)
    assert standing.ended(standing.post(["Who is next?"])).status == "succeeded"
    assert len(mood.calls("Who calls so often?")) == 16
    with reading(standing.store) as session:
        rows = select(func.count()).where(ResultRow.job_id == job_id)
        assert session.scalar(rows) == 1
