"""A job with a second reward, run by a real worker on a real reward service."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import trace
from db.session import reading
from prelogit.align import align
from prelogit.engine.load import Model
from prelogit.wire.jobs import Stop
from prelogit.wire.params import AISP, BestOfN
from tests.tiny import scoring
from tests.workers import moody
from tests.workers.conftest import DeskMaker
from tests.workers.processes import until
from tests.workers.services import Reward
from tests.workers.stack import METHOD, ended, statuses
from workers.run import run_group

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]
PROMPTS = [{"id": "a", "prompt": "Why?"}, {"id": "b", "prompt": "What is a whale?"}]
SHORT = {"reward": {"name": "moody"}, "held_out": {"name": "short"}}


def test_a_job_ends_as_in_the_library(
    store: Store, post: Post, make_desk: DeskMaker, model: Model
) -> None:
    job_id, group_id = post(
        PROMPTS, **SHORT, baselines=[{"name": "bon", "n": 3}], stop={"kl": 1e9, "held_out": 1}
    )
    run_group(make_desk(), group_id)
    wanted = align(
        model,
        PROMPTS,
        scoring(moody.vowels),
        held_out=scoring(moody.short),
        stop=Stop(kl=1e9, held_out=1),
        method=AISP(n=4, iterations=3),
        baselines=[BestOfN(n=3)],
        max_new_tokens=8,
    )
    for one, other in zip(ended(store, job_id), wanted, strict=True):
        assert (one.status, one.response, one.stopped) == (
            "succeeded",
            other.response,
            other.stopped,
        )
        assert one.picks is not None
        assert other.picks is not None
        mine, others = one.picks.model_dump(), other.picks.model_dump()
        for name in ("reward", "held_out", "kl"):
            # A mean over all tokens: its last digits may depend on the rows that stood beside.
            assert mine[name].pop("kl") == pytest.approx(others[name].pop("kl"), rel=1e-5)
            assert mine[name] == others[name]
        with reading(store) as session:
            rows = trace.rows(session, job_id, one.prompt_id, 0)
            beside = trace.rows(session, job_id, one.prompt_id, 1)
            kept = trace.kept(session, job_id, one.prompt_id, 0)
        assert [row.held_out for row in rows] == [row.held_out for row in other.trace.iterations]
        assert [row.diversity for row in rows] == [row.diversity for row in other.trace.iterations]
        assert [row.held_out for row in beside] == [None]
        assert all(c.held_out == moody.short([], [c.text])[0] for c in kept)
        assert one.picks.held_out is not None
        assert one.picks.held_out.text in [c.text for c in kept]


@pytest.mark.parametrize("mood", ["nan", "few"])
def test_where_it_answers_nonsense_the_prompt_fails_with_the_reason(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward, mood: str
) -> None:
    job_id, group_id = post(PROMPTS, reward={"name": "short"}, held_out={"name": "moody"})
    reward.mood.set(mood, about="whale")
    run_group(make_desk(), group_id)
    assert statuses(store, job_id) == {"a": "succeeded", "b": "failed"}
    failed = ended(store, job_id)[1]
    assert failed.error is not None
    assert failed.error.startswith("the held-out reward: ")
    assert failed.picks is None


def test_a_server_that_is_not_allowed_is_not_asked(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    second: dict[str, Any] = {"url": reward.url, "model": "moody"}
    job_id, group_id = post(["Who?"], reward={"name": "short"}, held_out=second)
    run_group(make_desk(reward_urls=("https://rm.example.com",)), group_id)
    (result,) = ended(store, job_id)
    assert result.status == "failed"
    assert "PRELOGIT_REWARD_URLS" in (result.error or "")
    assert reward.mood.calls("Who?") == []
    job_id, group_id = post(["Who?"], reward={"name": "short"}, held_out=second)
    run_group(make_desk(reward_urls=(reward.url,)), group_id)
    assert statuses(store, job_id) == {"p1": "succeeded"}
    assert len(reward.mood.calls("Who?")) == 16


def test_a_prompt_goes_on_where_a_worker_stopped(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    """What each would pick is what a search without the break says."""
    told = []
    for stops in (False, True):
        job_id, group_id = post(["What is a whale?"], **SHORT)
        if stops:
            desk, mood = make_desk("two"), reward.mood
            mood.hold(after=METHOD["n"])
            running = threading.Thread(target=lambda: run_group(desk, group_id))  # noqa: B023
            running.start()
            until(lambda: mood.holds, "the second round is scored")  # noqa: B023
            desk.stopping.set()
            mood.clear()
            running.join()
            assert statuses(store, job_id) == {"p1": "queued"}
        run_group(make_desk("three"), group_id)
        (result,) = ended(store, job_id)
        assert result.picks is not None
        told.append([(p.iteration, p.sample, p.held_out) for _, p in result.picks if p is not None])
    assert told[0] == told[1]
    assert len(told[0]) == 2
