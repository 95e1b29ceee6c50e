"""A worker that is told to stop, or whose job is cancelled, in the middle of a group."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, outbox, trace
from db.session import reading
from tests.workers.conftest import DeskMaker
from tests.workers.processes import until
from tests.workers.services import Reward
from tests.workers.stack import METHOD, ended, statuses
from workers.run import run_group

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]


def in_background(work: Callable[[], None]) -> threading.Thread:
    thread = threading.Thread(target=work)
    thread.start()
    return thread


def test_a_stop_stores_the_round_under_way_and_gives_the_prompt_back(
    store: Store, make_desk: DeskMaker, post: Post, reward: Reward
) -> None:
    desk, mood = make_desk(), reward.mood
    job_id, group_id = post([{"id": "a", "prompt": "When?"}])
    with store.begin() as session:
        outbox.sent(session, [row.id for row in outbox.pending(session, 10)])
    mood.hold(after=METHOD["n"])
    running = in_background(lambda: run_group(desk, group_id))
    until(lambda: mood.holds, "the second round is scored")
    desk.stopping.set()
    mood.clear()
    running.join()
    assert statuses(store, job_id) == {"a": "queued"}
    with reading(store) as session:
        assert [row.k for row in trace.rows(session, job_id, "a", 0)] == [1, 2]
        assert [row.group_id for row in outbox.pending(session, 10)] == [group_id]

    run_group(make_desk("two"), group_id)
    (result,) = ended(store, job_id)
    assert result.status == "succeeded"
    assert result.samples == len(mood.calls("When?")) == 16


@pytest.mark.parametrize("why", ["stop", "cancel"])
def test_a_reward_that_never_answers_holds_nobody_up(
    store: Store,
    make_desk: DeskMaker,
    post: Post,
    reward: Reward,
    caplog: pytest.LogCaptureFixture,
    why: str,
) -> None:
    desk, mood = make_desk(stop_wait_seconds=0.1), reward.mood
    job_id, group_id = post([{"id": "a", "prompt": "When?"}, {"id": "b", "prompt": "At last?"}])
    mood.hold(after=2 * METHOD["n"])
    running = in_background(lambda: run_group(desk, group_id))
    until(lambda: mood.holds, "a later round is scored")
    if why == "stop":
        desk.stopping.set()
    else:
        with store.begin() as session:
            assert jobs.request_cancel(session, job_id)
    running.join()
    assert mood.holds
    assert "Traceback" not in caplog.text
    wanted = "queued" if why == "stop" else "cancelled"
    assert set(statuses(store, job_id).values()) == {wanted}
    if why == "cancel":
        found = ended(store, job_id)
        assert any(result.reward is not None for result in found)
        with reading(store) as session:
            for result in found:
                rows = trace.rows(session, job_id, result.prompt_id, 0)
                assert result.reward == (rows[-1].best_so_far if rows else None)
