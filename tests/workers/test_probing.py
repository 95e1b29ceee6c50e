"""A job's reward is probed once, by a real worker on a real reward service."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, trace
from db.session import reading
from prelogit.core.records import Iteration
from prelogit.rewards.probe_texts import GOLDEN
from prelogit.wire.jobs import Job
from tests.workers.conftest import DeskMaker
from tests.workers.processes import until
from tests.workers.services import Reward
from tests.workers.stack import METHOD, ended, running_stack, statuses
from workers.desk import Kept
from workers.probing import FRESH_SECONDS
from workers.run import run_group

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]


def shown(store: Store, job_id: str) -> Job:
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    return job


def probes_of(reward: Reward) -> int:
    """How often the reward was probed: each probe asks for this text alone and in two batches."""
    return reward.mood.calls(GOLDEN[3].conversation[-1]["content"]).count(GOLDEN[3].good) // 3


def rows(store: Store, job_id: str) -> list[Iteration]:
    with reading(store) as session:
        return trace.rows(session, job_id, "p1", 0)


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_job_carries_what_was_found_out_and_pays_nothing_for_it(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    job_id, group_id = post(["Why?"])
    assert shown(store, job_id).probe is None
    run_group(make_desk(reward_probe="on"), group_id)
    job = shown(store, job_id)
    assert job.status == "succeeded"
    assert job.probe is not None
    assert (job.probe.reward, job.probe.pairs) == ("moody", len(GOLDEN))
    assert job.probe.scale.low >= 0
    assert probes_of(reward) == 1
    other, second = post(["Why?"])
    run_group(make_desk(reward_probe="off"), second)
    assert shown(store, other).probe is None
    for one in (job.usage, shown(store, other).usage):
        assert (one.candidates, one.reward_calls) == (16, 4)
    (result,), (unprobed,) = ended(store, job_id), ended(store, other)
    assert result.response == unprobed.response
    assert result.samples == unprobed.samples
    assert [row.reward_calls for row in rows(store, job_id)] == [1, 1, 1, 1]


def test_a_reward_whose_order_does_not_hold_fails_the_prompts_with_the_reason(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    reward.mood.set("sorted")
    job_id, group_id = post([{"id": "a", "prompt": "Why?"}, {"id": "b", "prompt": "How?"}])
    run_group(make_desk(reward_probe="on"), group_id)
    for result in ended(store, job_id):
        assert result.status == "failed"
        assert "in the order of the request" in str(result.error)
    assert reward.mood.calls("Why?") == []
    assert shown(store, job_id).probe is None
    reward.mood.clear()
    with store.begin() as session:
        assert jobs.retry(session, job_id) == [group_id]
    run_group(make_desk("two", reward_probe="on"), group_id)
    job = shown(store, job_id)
    assert job.status == "succeeded"
    assert job.probe is not None


def test_a_second_reward_is_probed_too_before_a_sample_is_drawn(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    named = {"reward": {"name": "short"}, "held_out": {"name": "moody"}}
    reward.mood.set("nan", about=GOLDEN[3].conversation[-1]["content"])
    job_id, group_id = post(["Why?"], **named)
    run_group(make_desk(reward_probe="on"), group_id)
    (result,) = ended(store, job_id)
    assert (result.status, result.samples) == ("failed", 0)
    assert str(result.error).startswith("the held-out reward: ")
    assert "not a finite number" in str(result.error)
    assert reward.mood.calls("Why?") == []
    job = shown(store, job_id)
    assert job.probe is not None
    assert job.held_out_probe is None
    reward.mood.clear()
    with store.begin() as session:
        assert jobs.retry(session, job_id) == [group_id]
    run_group(make_desk("two", reward_probe="on"), group_id)
    job = shown(store, job_id)
    assert job.status == "succeeded"
    assert (job.probe.reward, job.held_out_probe.reward) == ("short", "moody")  # type: ignore[union-attr]


def test_a_resumed_job_is_not_probed_again(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    desk, mood = make_desk(reward_probe="on"), reward.mood
    run_group(desk, post(["First?"])[1])
    job_id, group_id = post([{"id": "a", "prompt": "When?"}])
    mood.hold(after=2 + METHOD["n"])  # two tell the model's fingerprint, then comes a round
    running = in_background(lambda: run_group(desk, group_id))
    until(lambda: mood.holds, "the second round is scored")
    report = shown(store, job_id).probe
    assert report is not None
    desk.stopping.set()
    mood.clear()
    running.join()
    assert statuses(store, job_id) == {"a": "queued"}
    run_group(make_desk("two", reward_probe="on"), group_id)
    assert probes_of(reward) == 1
    assert shown(store, job_id).probe == report
    (result,) = ended(store, job_id)
    assert result.samples == len(mood.calls("When?")) == 16


def test_a_report_is_good_for_an_hour_and_for_the_model_that_gave_it(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    desk = make_desk(reward_probe="on")
    reports = []

    def run() -> None:
        job_id, group_id = post(["Why?"])
        run_group(desk, group_id)
        reports.append(shown(store, job_id).probe)

    run()
    run()
    assert reports[0] == reports[1] is not None
    assert probes_of(reward) == 1
    ((key, kept),) = desk.probes.items()
    desk.probes[key] = Kept(kept.report, kept.at - FRESH_SECONDS - 1)
    run()
    assert probes_of(reward) == 2
    other = kept.report.model_copy(update={"fingerprint": "of another model"})
    desk.probes[key] = Kept(other, time.monotonic())
    run()
    assert probes_of(reward) == 3
    assert reports[3] is not None
    assert reports[3].fingerprint == kept.report.fingerprint


@pytest.mark.parametrize("why", ["stop", "cancel"])
def test_a_probe_is_given_up_when_nobody_wants_it(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward, why: str
) -> None:
    desk, mood = make_desk(reward_probe="on", stop_wait_seconds=0.1), reward.mood
    job_id, group_id = post([{"id": "a", "prompt": "When?"}])
    mood.hold(after=0)
    running = in_background(lambda: run_group(desk, group_id))
    until(lambda: mood.holds, "the probe waits")
    if why == "stop":
        desk.stopping.set()
    else:
        with store.begin() as session:
            jobs.request_cancel(session, job_id)
    running.join()
    mood.clear()
    assert statuses(store, job_id) == {"a": "queued" if why == "stop" else "cancelled"}
    assert mood.calls("When?") == []


def test_a_reward_that_is_silent_is_waited_for_and_then_said(
    store: Store, post: Post, make_desk: DeskMaker
) -> None:
    desk = make_desk(
        reward_probe="on", reward_url="http://127.0.0.1:9", reward_patience_seconds=0.3
    )
    job_id, group_id = post(["Anybody?"])
    run_group(desk, group_id)
    (result,) = ended(store, job_id)
    assert result.status == "failed"
    assert "did not answer within 0.3 s" in str(result.error)


def test_a_worker_process_probes_once_for_all_groups_of_a_job(
    tmp_path: Path, model_folder: str, fresh_sqlite: str
) -> None:
    with running_stack(tmp_path, model_folder, fresh_sqlite) as stack:
        method = {"name": "bon", "n": 2, "batch_size": 1}
        job_id = stack.post(["Why?", "How?", "When?"], method=method)
        assert len(stack.groups(job_id)) == 3
        stack.worker(reward_probe="on").until_said("ready owner")
        job = stack.ended(job_id)
        assert job.status == "succeeded"
        assert job.probe is not None
        assert probes_of(stack.reward) == 1
        (worker,) = stack.workers
        assert worker.said.count("probed job=") == 1
