"""A job with a budget: its prompts in groups that share it, and its progress."""

from __future__ import annotations

from collections.abc import Callable

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases, prompts, results
from db.models import PromptRow
from db.session import reading
from prelogit.core.records import Result

Store = sessionmaker[Session]
METHOD = {"name": "aisp", "n": 2, "batch_size": 2}


def test_groups_are_alike_and_as_large_as_a_budget_is_shared(
    store: Store, post: Callable[..., jobs.Created]
) -> None:
    created = post(18, method=METHOD, budget={"samples": 18 * 8})
    with reading(store) as session:
        count = func.count(PromptRow.prompt_id)
        of = PromptRow.group_id
        sizes = session.scalars(
            select(count).where(PromptRow.job_id == created.job_id).group_by(of)
        )
        assert list(sizes) == [6, 6, 6]


def test_progress_goes_by_the_even_share_and_never_beyond_all(
    store: Store, post: Callable[..., jobs.Created]
) -> None:
    created = post(2, method=METHOD, budget={"samples": 2 * 8})
    for done, fraction in ((0, 0.0), (2, 0.5), (6, 1.0)):  # a prompt may have 6
        with store.begin() as session:
            session.execute(update(PromptRow).values(rounds_done=done))
        with reading(store) as session:
            job = jobs.view(session, created.job_id)
        assert job is not None
        assert (job.progress.iterations_total, job.progress.fraction) == (8, fraction)


def test_a_claim_knows_its_pool_and_who_has_ended(
    store: Store,
    post: Callable[..., jobs.Created],
    take: Callable[..., leases.Claim],
    outcome: Callable[..., Result],
) -> None:
    created = post(18, method=METHOD, budget={"samples": 18 * 8})
    claim = take(created.group_ids[0])
    with store.begin() as session:
        results.finish(session, claim, "p2", outcome("p2"))
    with reading(store) as session:
        pool = prompts.pool(session, claim)
    assert pool.prompts == 18
    assert pool.ended == {"p2"}
    assert {f"p{place + 1}": place for place in pool.places.values()} == pool.places
    assert len(pool.places) == 6
