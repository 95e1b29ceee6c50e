"""One group, run in this process on a real model, store and reward service."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import pytest
import torch
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, trace
from db.session import reading
from prelogit.align import align
from prelogit.engine.load import Model
from prelogit.wire.jobs import Job
from prelogit.wire.params import AISP, BestOfN
from tests.tiny import scoring
from tests.workers import moody
from tests.workers.conftest import DeskMaker
from tests.workers.poison import PROMPTS, poisoned
from tests.workers.services import Reward
from tests.workers.stack import ended, statuses
from workers.run import run_group

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]


@contextmanager
def at_most_rows(model: Model, rows: int) -> Iterator[None]:
    """The device has memory for steps of so many rows."""

    forward = model.decoder.forward

    def refusing(groups: Any, tokens: torch.Tensor) -> None:
        if len(tokens) > rows:
            raise torch.OutOfMemoryError("CUDA out of memory")
        forward(groups, tokens)

    with patch.object(model.decoder, "forward", refusing):
        yield


def shown(store: Store, job_id: str) -> Job:
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    return job


@pytest.mark.parametrize(
    "method",
    [AISP(n=4, iterations=3), AISP(n=4, iterations=3, proposal="mean", sigma2="auto")],
    ids=["texts", "sigma2 auto"],
)
def test_a_group_gets_the_answers_that_the_library_gives(
    store: Store, post: Post, make_desk: DeskMaker, model: Model, method: AISP
) -> None:
    baselines = [BestOfN(n=16), BestOfN(n=3, noise="gaussian", sigma2="auto")]
    job_id, group_id = post(
        PROMPTS, method=method.model_dump(), seed=11, keep="all", top_k=2,
        baselines=[one.model_dump() for one in baselines],
    )  # fmt: skip
    run_group(make_desk(), group_id)
    wanted = align(
        model,
        PROMPTS,
        scoring(moody.vowels),
        method=method,
        baselines=baselines,
        max_new_tokens=8,
        seed=11,
        keep="all",
        top_k=2,
    )
    found = ended(store, job_id)
    assert [one.prompt_id for one in found] == ["a", "poison", "b"]
    for one, other in zip(found, wanted, strict=True):
        assert one.job_id == job_id
        assert one.status == "succeeded"
        assert (one.response, one.reward) == (other.response, other.reward)
        # A mean over all tokens: its last digits may depend on the rows that stood beside.
        assert one.kl.model_dump() == pytest.approx(other.kl.model_dump(), rel=1e-5)
        assert one.coherence == other.coherence is not None
        assert one.nll == other.nll is not None
        assert [b.nll for b in one.baselines] == [b.nll for b in other.baselines]
        assert [c.text for c in one.responses] == [c.text for c in other.responses]
        assert [b.reward for b in one.baselines] == [b.reward for b in other.baselines]
        assert one.reward_model is not None
        assert one.reward_model.name == "moody"
        with reading(store) as session:
            stored = trace.trace(session, job_id, one.prompt_id)
            kept = trace.kept(session, job_id, one.prompt_id, 0)
        assert stored is not None
        assert (stored.window, stored.dim) == (8, model.dim)
        assert [row.rewards for row in stored.iterations] == [
            row.rewards for row in other.trace.iterations
        ]
        if method.proposal == "mean":
            assert stored.iterations[0].sigma2 == model.sigma2
        assert tuple(kept) == other.candidates
    with reading(store) as session:
        assert jobs.status(session, job_id) == "succeeded"


def test_a_worker_may_leave_metrics_out(store: Store, post: Post, make_desk: DeskMaker) -> None:
    job_id, group_id = post(["How?"])
    run_group(make_desk(coherence=False, nll=False), group_id)
    (result,) = ended(store, job_id)
    assert (result.status, result.coherence, result.nll) == ("succeeded", None, None)


def test_a_second_wakeup_finds_nothing_to_do(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    desk = make_desk()
    job_id, group_id = post(["Again?"])
    run_group(desk, group_id)
    before = ended(store, job_id), len(reward.mood.calls("Again?"))
    run_group(desk, group_id)
    run_group(desk, "grp_unknown")
    assert (ended(store, job_id), len(reward.mood.calls("Again?"))) == before


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("the secret of ~~~~ in /root/.cache"), "ValueError"),
        (torch.OutOfMemoryError("tried to allocate 20 GiB"), "ran out of memory"),
    ],
)
def test_a_prompt_that_the_model_fails_on_fails_alone(
    store: Store,
    post: Post,
    make_desk: DeskMaker,
    model: Model,
    reward: Reward,
    caplog: pytest.LogCaptureFixture,
    error: Exception,
    said: str,
) -> None:
    job_id, group_id = post(PROMPTS, seed=2)
    with poisoned(model, error):
        run_group(make_desk(), group_id)
    a, poison, b = ended(store, job_id)
    assert (a.status, poison.status, b.status) == ("succeeded", "failed", "succeeded")
    assert poison.error is not None
    assert said in poison.error
    for hidden in ("secret", "/root", "Traceback", "File"):
        assert hidden not in poison.error
        assert hidden not in caplog.text
    assert job_id in caplog.text
    assert "'poison'" in caplog.text
    with reading(store) as session:
        assert jobs.status(session, job_id) == "partial"


def test_a_job_shows_what_decodes_it(
    store: Store, post: Post, make_desk: DeskMaker, model: Model
) -> None:
    job_id, group_id = post(["Why?"])
    assert shown(store, job_id).engine is None
    run_group(make_desk(), group_id)
    engine = shown(store, job_id).engine
    assert engine is not None
    dtype = str(model.module.dtype).removeprefix("torch.")
    assert (engine.device, engine.dtype, engine.attention) == ("cpu", dtype, "shared")
    assert (engine.rows, engine.halved) == (model.max_rows, 0)
    assert engine.memory.weights_bytes == model.memory.weights_bytes
    assert engine.memory.row_bytes == model.memory.row_bytes(64, 8)


def test_running_out_of_memory_loses_nothing_and_is_shown_with_the_job(
    store: Store, post: Post, make_desk: DeskMaker, model: Model
) -> None:
    job_id, group_id = post(PROMPTS, seed=2)
    run_group(make_desk(), group_id)
    again, second = post(PROMPTS, seed=2)
    with at_most_rows(model, 3):
        run_group(make_desk(), second)
    for one, other in zip(ended(store, again), ended(store, job_id), strict=True):
        assert (one.status, one.response) == ("succeeded", other.response)
        assert (one.samples, one.generated_tokens) == (other.samples, other.generated_tokens)
    engine = shown(store, again).engine
    assert engine is not None
    assert engine.rows <= 3
    assert engine.halved > 0
    model.limit.restore()


def test_a_broken_device_ends_the_worker_and_leaves_the_prompts_to_another(
    store: Store, post: Post, make_desk: DeskMaker, model: Model
) -> None:
    desk = make_desk()
    job_id, group_id = post(PROMPTS)
    with poisoned(model, torch.AcceleratorError("CUDA error: device-side assert")):
        run_group(desk, group_id)
    assert desk.broken.is_set()
    assert desk.stopping.is_set()
    assert "failed" not in statuses(store, job_id).values()
    assert statuses(store, job_id)["poison"] == "running"  # until its lease is over


def test_a_group_of_another_model_is_left_to_its_own_workers(
    store: Store, make_desk: DeskMaker, post: Post
) -> None:
    job_id, group_id = post([{"id": "a", "prompt": "Who are you?"}], named="somebody/else")
    run_group(make_desk(), group_id)
    assert statuses(store, job_id) == {"a": "queued"}
    with reading(store) as session:
        assert jobs.status(session, job_id) == "queued"


def test_a_reward_that_is_not_hosted_fails_the_prompt_with_the_reason(
    store: Store, make_desk: DeskMaker, post: Post
) -> None:
    job_id, group_id = post(["Who judges?"], reward={"name": "nobody"})
    run_group(make_desk(), group_id)
    (result,) = ended(store, job_id)
    assert result.status == "failed"
    assert "nobody" in str(result.error)


def test_rewards_that_cannot_be_averaged_fail_their_prompt_alone(
    store: Store, make_desk: DeskMaker, post: Post, reward: Reward
) -> None:
    job_id, group_id = post(PROMPTS)
    reward.mood.set("huge", about="~")
    run_group(make_desk(), group_id)
    a, poison, b = ended(store, job_id)
    assert (a.status, poison.status, b.status) == ("succeeded", "failed", "succeeded")
    assert "scale the reward down" in str(poison.error)
