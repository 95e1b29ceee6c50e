"""What a job's view adds up, and how cheaply."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases, results, trace
from db.session import reading
from prelogit.core.records import Iteration, Result
from prelogit.wire.jobs import Job

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]
Round = Callable[..., Iteration]
Outcome = Callable[..., Result]


def shown(store: Store, job_id: str) -> Job:
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    return job


def test_a_view_adds_up_what_the_job_has_done(
    store: Store, post: Post, take: Take, round_: Round, outcome: Outcome
) -> None:
    created = post(
        4,
        method={"name": "aisp", "n": 2, "iterations": 3, "batch_size": 4},
        baselines=[{"name": "bon"}, {"name": "bon", "noise": "gaussian"}],
    )
    claim = take(created.group_ids[0])
    firsts = {"p1": (0.1, 0.3), "p2": (0.4, 0.6), "p3": (0.0, 1.0)}
    margins = {"p1": (0.25, None), "p2": (0.5, 0.125), "p3": (1.0, None)}
    expected = {"p1": (0.5, None), "p2": (None, None), "p3": (1.25, None)}
    with store.begin() as session:
        for prompt_id, rewards in firsts.items():
            trace.append(session, claim, prompt_id, 0, round_(1, rewards=rewards), [])
            trace.append(session, claim, prompt_id, 1, round_(1, tokens=5), [])
        trace.append(session, claim, "p4", 0, round_(1, rewards=(90.0, 90.0)), [])
        for prompt_id, reward in (("p1", 0.5), ("p2", 0.75), ("p3", 1.0)):
            results.finish(
                session,
                claim,
                prompt_id,
                outcome(
                    prompt_id,
                    reward=reward,
                    margins=margins[prompt_id],
                    expected=expected[prompt_id],
                ),
            )
    job = shown(store, created.job_id)
    assert job.usage.model_dump() == {
        "prompt_tokens": 20, "generated_tokens": 4 * 10 + 3 * 5, "candidates": 14,
        "reward_calls": 7, "reward_tokens": 210,
        "decode_seconds": 7.0, "reward_seconds": 3.5, "wait_seconds": 1.75,
    }  # fmt: skip
    # three prompts have ended, with all their rounds; the fourth has done one of six
    assert (job.progress.iterations_done, job.progress.iterations_total) == (19, 24)
    assert job.progress.fraction == 19 / 24
    assert job.progress.eta_seconds is not None
    assert job.progress.eta_seconds >= 0
    assert job.reward.mean_best == pytest.approx(0.75)
    assert job.reward.mean_first == pytest.approx((0.2 + 0.5 + 0.5) / 3)
    first, second = job.reward.baselines
    paired = [0.25, 0.5, 1.0]
    assert (first.name, first.noise) == ("bon", None)
    assert first.mean == pytest.approx((0.25 + 0.25 + 0.0) / 3)
    assert first.margin == pytest.approx(statistics.mean(paired))
    assert first.margin_se == pytest.approx(statistics.stdev(paired) / math.sqrt(3))
    assert first.expected_margin == pytest.approx(0.875)
    assert first.expected_margin_se == pytest.approx(statistics.stdev([0.5, 1.25]) / math.sqrt(2))
    assert (second.noise, second.margin, second.margin_se) == ("gaussian", 0.125, None)
    assert (second.expected_margin, second.expected_margin_se) == (None, None)


def test_equal_margins_have_no_error_to_speak_of(
    store: Store, post: Post, take: Take, outcome: Outcome
) -> None:
    created = post(3, baselines=[{"name": "bon"}])
    claim = take(created.group_ids[0])
    with store.begin() as session:
        for prompt_id in ("p1", "p2", "p3"):
            # a sum of squares minus a square would be far off here
            results.finish(session, claim, prompt_id, outcome(prompt_id, margins=(1e8 + 0.1,)))
    (baseline,) = shown(store, created.job_id).reward.baselines
    assert baseline.margin_se == pytest.approx(0.0, abs=1e-6)


def test_a_big_job_is_viewed_by_a_handful_of_queries(store: Store, post: Post, engine: Any) -> None:
    from sqlalchemy import event

    created = post(2000)
    queries: list[str] = []
    event.listen(
        engine, "before_cursor_execute", lambda *args: queries.append(args[2]), named=False
    )
    shown(store, created.job_id)
    assert len(queries) <= 8, queries
