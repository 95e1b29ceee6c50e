"""A deleted job leaves nothing behind, in no table there is."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from sqlalchemy import Table, insert, select
from sqlalchemy.orm import Session, sessionmaker

from db import deliveries, jobs, results, trace
from db.models import Base, WakeupRow
from db.retention import remove
from db.session import now, reading
from prelogit.core.records import Candidate, Iteration, Result
from tests.db.conftest import Post, Take

Store = sessionmaker[Session]
HOOK = {"url": "https://example.com", "events": ["job.started", "job.ended", "prompt.ended"]}


def below_jobs() -> list[Table]:
    """Tables whose rows belong to a job, by their keys, directly or not."""
    found = {"jobs"}
    for _ in Base.metadata.tables:
        found |= {
            table.name
            for table in Base.metadata.tables.values()
            for key in table.foreign_keys
            if key.column.table.name in found
        }
    return [Base.metadata.tables[name] for name in sorted(found)]


def rows(store: Store) -> Iterator[tuple[str, str]]:
    """Each row of every table, as text, with its table's name."""
    with reading(store) as session:
        for table in Base.metadata.tables.values():
            for row in session.execute(select(table)):
                yield table.name, " ".join(map(str, row))


@pytest.fixture
def whole(
    store: Store,
    post: Post,
    take: Take,
    round_: Callable[..., Iteration],
    drawn: Callable[..., Candidate],
    outcome: Callable[..., Result],
) -> jobs.Created:
    """A job that has ended, with rows in every table that can have some of it."""
    made = post(2, key="mine", webhook=HOOK, baselines=[{"name": "bon"}])
    for group in made.group_ids:
        claim = take(group)
        for prompt in claim.prompts:
            with store.begin() as session:
                trace.append(session, claim, prompt.prompt_id, 0, round_(1), [drawn(1, 0, 0.5)])
                done = outcome(prompt.prompt_id, margins=(0.25,))
                results.finish(session, claim, prompt.prompt_id, done)
    with store.begin() as session:
        session.execute(insert(WakeupRow).values(group_id=made.group_ids[0]))
    return made


def ids(store: Store, made: jobs.Created) -> list[str]:
    with reading(store) as session:
        told, _ = deliveries.listing(session, made.job_id, limit=100, cursor=None)
    assert len(told) == 3
    return [made.job_id, *made.group_ids, *(one.id for one in told)]


@pytest.mark.parametrize("by", ["user", "time"])
def test_nothing_of_a_deleted_job_is_left(store: Store, whole: jobs.Created, by: str) -> None:
    known = ids(store, whole)
    before = {table for table, text in rows(store) if any(one in text for one in known)}
    assert before == {table.name for table in below_jobs()}, "the test misses a table"
    other = len([text for _, text in rows(store) if not any(one in text for one in known)])
    with store.begin() as session:
        if by == "user":
            assert jobs.delete(session, whole.job_id)
        else:
            assert remove(session, whole.job_id, now())
    left = list(rows(store))
    assert not [(table, text) for table, text in left if any(one in text for one in known)]
    assert len([1 for table, _ in left if table not in before]) == other


def test_its_idempotency_key_is_free_again(store: Store, post: Post, whole: jobs.Created) -> None:
    with store.begin() as session:
        jobs.delete(session, whole.job_id)
    assert post(1, key="mine").job_id != whole.job_id
