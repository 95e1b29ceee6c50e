"""Workers of several models on one queue server: each runs the jobs of its own model only."""

from __future__ import annotations

import pytest

from prelogit.wire.wakeup import RUN_GROUP
from tests.workers.processes import until
from tests.workers.services import save_model
from tests.workers.stack import METHOD, Stack

pytestmark = pytest.mark.slow

BY_ONE = {**METHOD, "batch_size": 1}


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder, and so the name, of a second model."""
    return save_model(tmp_path_factory.mktemp("other") / "model")


def claims(log: str, job_id: str) -> int:
    return log.count(f"claimed job={job_id}")


def test_jobs_of_two_models_are_each_run_by_their_own_worker(
    stack: Stack, other_model: str
) -> None:
    mine, its = stack.worker(), stack.worker(model=other_model)
    for worker in (mine, its):
        worker.until_said("ready owner")
    prompts = [f"Which one, {name}?" for name in ("a", "b", "c")]
    first = stack.post(prompts, method=BY_ONE)
    second = stack.post(prompts, method=BY_ONE, model=other_model)
    for job_id, model, worker in ((first, stack.model, mine), (second, other_model, its)):
        assert stack.ended(job_id).status == "succeeded"
        assert {str(one.model and one.model.name) for one in stack.results(job_id)} == {model}
        assert claims(worker.said, job_id) == 3
    assert claims(mine.said, second) == claims(its.said, first) == 0


def test_a_second_worker_of_a_model_shares_its_jobs(stack: Stack, other_model: str) -> None:
    stack.with_workers(2)
    stack.worker(model=other_model).until_said("ready owner")
    stack.reward.mood.hold(after=0)
    jobs = [stack.post([f"Who takes it, {name}?"]) for name in ("one", "two")]
    until(lambda: all(stack.job(job).status == "running" for job in jobs), "both are searched")
    holders = {stack.holder(job).pid for job in jobs}
    stack.reward.mood.clear()
    assert holders == {worker.pid for worker in stack.workers[:2]}
    for job in jobs:
        assert stack.ended(job).status == "succeeded"


def test_a_wake_up_on_the_wrong_queue_is_not_followed(stack: Stack, other_model: str) -> None:
    wrong = stack.worker(model=other_model)
    wrong.until_said("ready owner")
    job_id = stack.post(["Who is asked?"])
    (group,) = stack.groups(job_id)
    for _ in range(3):
        stack.send(RUN_GROUP, group, model=other_model)
    until(
        lambda: wrong.said.count(f"nothing to claim, woken by group={group!r}") == 3,
        "all are looked at",
    )
    assert stack.job(job_id).status == "queued"
    right = stack.worker()
    assert stack.ended(job_id).status == "succeeded"
    assert claims(right.said, job_id) == 1
    assert claims(wrong.said, job_id) == 0


def test_a_lost_wake_up_is_sent_again_to_its_models_queue(stack: Stack, other_model: str) -> None:
    job_id = stack.post(["Who remembers me?"], model=other_model)
    until(lambda: not stack.unsent(), "its wake-up is on the queue")
    stack.queue.kill()
    stack.queue.forget()
    stack.queue.start()
    stack.with_workers(1)
    its = stack.worker(model=other_model)
    assert stack.ended(job_id).status == "succeeded"
    assert claims(its.said, job_id) == 1
