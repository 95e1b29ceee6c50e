"""Answers that are not the best, and baselines of every kind, through worker and store."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, trace
from db.session import reading
from prelogit.align import align
from prelogit.engine.load import Model
from prelogit.wire.params import AISP, BestOfN, Greedy, Sample, SoftBestOfN
from tests.tiny import scoring
from tests.workers import moody
from tests.workers.conftest import DeskMaker
from tests.workers.stack import ended
from workers.run import run_group

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]
PROMPTS = [{"id": f"q{i}", "prompt": text} for i, text in enumerate(("Why?", "What is it?", "Tea"))]


@pytest.mark.parametrize("keep", ["best", "all"])
def test_a_drawn_answer_is_stored_as_the_library_draws_it(
    store: Store, post: Post, make_desk: DeskMaker, model: Model, keep: Any
) -> None:
    method = {"name": "soft_bon", "n": 6, "lambda": 3.0}
    job_id, group_id = post(PROMPTS, method=method, keep=keep, top_k=2, seed=3)
    run_group(make_desk(), group_id)
    wanted = align(
        model,
        PROMPTS,
        scoring(moody.vowels),
        method=SoftBestOfN(n=6, lambda_=3.0),
        max_new_tokens=8,
        seed=3,
        keep=keep,
        top_k=2,
    )
    below = 0
    for one, other in zip(ended(store, job_id), wanted, strict=True):
        with reading(store) as session:
            stored = trace.trace(session, job_id, one.prompt_id)
            kept = trace.kept(session, job_id, one.prompt_id, 0)
        assert stored is not None
        (row,) = stored.iterations
        assert row.chosen == other.trace.iterations[0].chosen
        assert row.weights == other.trace.iterations[0].weights
        assert (one.response, one.reward) == (other.response, other.reward)
        assert (kept[0].text, kept[0].sample) == (one.response, row.chosen)
        assert len(kept) == (6 if keep == "all" else 2)
        below += one.reward != row.best
    assert below


def test_a_job_says_by_how_much_its_method_is_ahead_of_each_baseline(
    store: Store, post: Post, make_desk: DeskMaker, model: Model
) -> None:
    names = ("bon", "soft_bon", "sample", "greedy")
    job_id, group_id = post(PROMPTS, baselines=[{"name": name} for name in names], seed=4)
    run_group(make_desk(), group_id)
    wanted = align(
        model,
        PROMPTS,
        scoring(moody.vowels),
        method=AISP(n=4, iterations=3),
        baselines=[BestOfN(), SoftBestOfN(), Sample(), Greedy()],
        max_new_tokens=8,
        seed=4,
    )
    found = ended(store, job_id)
    for one, other in zip(found, wanted, strict=True):
        assert [b.rewards for b in one.baselines] == [b.rewards for b in other.baselines]
        assert [b.margin for b in one.baselines] == [b.margin for b in other.baselines]
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    assert [b.name for b in job.reward.baselines] == list(names)
    for arm, summary in enumerate(job.reward.baselines):
        for field in ("margin", "expected_margin"):
            paired = [getattr(one.baselines[arm], field) for one in found]
            assert getattr(summary, field) == pytest.approx(statistics.mean(paired))
            error = statistics.stdev(paired) / math.sqrt(len(paired))
            assert getattr(summary, f"{field}_se") == pytest.approx(error)
