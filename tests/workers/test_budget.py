"""A job's budget, shared by the prompts of each group, whoever searches them and however often."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases
from db.session import reading
from prelogit.align import align
from prelogit.core.records import Result
from prelogit.engine.load import Model
from prelogit.wire.jobs import Budget
from prelogit.wire.params import AISP
from tests.tiny import scoring
from tests.workers import moody
from tests.workers.conftest import DeskMaker
from tests.workers.poison import PROMPTS, poisoned
from tests.workers.processes import until
from tests.workers.services import Reward
from tests.workers.stack import ended, post_job, statuses
from tests.workers.test_run import shown
from tests.workers.test_stop import in_background
from workers.resume import pool_share
from workers.run import run_group

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]
METHOD = {"name": "aisp", "n": 4, "batch_size": 4}
FIELDS: dict[str, Any] = {"method": METHOD, "budget": {"samples": 72}, "seed": 11}


def told(results: list[Result]) -> list[tuple[Any, ...]]:
    return [(one.prompt_id, one.samples, one.stopped, one.response, one.reward) for one in results]


def undisturbed(store: Store, post: Post, make_desk: DeskMaker) -> list[Result]:
    job_id, group_id = post(PROMPTS, **FIELDS)
    run_group(make_desk("alone"), group_id)
    found = ended(store, job_id)
    assert sum(one.samples for one in found) == 72
    assert len({one.samples for one in found}) > 1
    return found


def test_a_group_spends_its_budget_as_the_library_does(
    store: Store, post: Post, make_desk: DeskMaker, model: Model
) -> None:
    found = undisturbed(store, post, make_desk)
    wanted = align(
        model,
        PROMPTS,
        scoring(moody.vowels),
        method=AISP(n=4),
        budget=Budget(samples=72),
        max_new_tokens=8,
        seed=11,
        coherence=False,
    )
    assert told(found) == told(list(wanted))


def test_each_group_has_its_part_and_progress_ends_at_all(
    store: Store, make_desk: DeskMaker, model: Model
) -> None:
    prompts = [f"{'?' * i}" for i in range(1, 10)]
    fields = {**FIELDS, "method": {**METHOD, "batch_size": 1}, "budget": {"samples": 9 * 16}}
    created = post_job(store, model.name, prompts, baselines=[{"name": "bon"}], **fields)
    assert len(created.group_ids) == 3
    request = shown(store, created.job_id).request
    assert request["method"]["iterations"] == 5
    assert request["baselines"][0]["n"] == 16
    for group_id in created.group_ids:
        run_group(make_desk(), group_id)
        assert 0 < shown(store, created.job_id).progress.fraction <= 1
    found = ended(store, created.job_id)
    assert [sum(one.samples for one in found[at : at + 3]) for at in (0, 3, 6)] == [48] * 3
    job = shown(store, created.job_id)
    assert (job.status, job.progress.fraction) == ("succeeded", 1)
    assert job.progress.iterations_total == 9 * (4 + 1)


@pytest.mark.parametrize("after", [4, 13, 25, 41, 62])
def test_another_worker_goes_on_as_the_first_would_have(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward, after: int
) -> None:
    whole = undisturbed(store, post, make_desk)
    desk = make_desk("one", stop_wait_seconds=0.1)
    job_id, group_id = post(PROMPTS, **FIELDS)
    reward.mood.hold(after=after)
    running = in_background(lambda: run_group(desk, group_id))
    until(lambda: reward.mood.holds, "a later round is scored")
    desk.stopping.set()
    running.join()
    assert "queued" in statuses(store, job_id).values()
    reward.mood.clear()
    run_group(make_desk("two"), group_id)
    assert told(ended(store, job_id)) == told(whole)


def test_prompts_one_at_a_time_leave_the_others_theirs(
    store: Store, post: Post, make_desk: DeskMaker, model: Model
) -> None:
    job_id, group_id = post(PROMPTS, **FIELDS)
    with poisoned(model, ValueError("tildes")):
        run_group(make_desk(), group_id)
    a, poison, b = ended(store, job_id)
    assert (a.status, poison.status, b.status) == ("succeeded", "failed", "succeeded")
    assert 16 <= a.samples <= 24
    assert 16 <= b.samples <= 72 - a.samples - 16  # all but what the others have, or will have

    with store.begin() as session:
        assert jobs.retry(session, job_id)
    run_group(make_desk("two"), group_id)
    again = ended(store, job_id)
    assert [one.status for one in again] == ["succeeded"] * 3
    assert [again[0].samples, again[2].samples] == [a.samples, b.samples]
    assert again[1].samples >= 16  # its first rounds are its own
    assert sum(one.samples for one in again) <= 72


def test_what_others_have_is_left_to_them(store: Store, post: Post, model: Model) -> None:
    _, group_id = post(PROMPTS, **FIELDS)
    with store.begin() as session:
        claim = leases.claim(session, group_id, owner="me", model=model.name, ttl_seconds=60)
    assert claim is not None
    with reading(store) as session:
        whole = pool_share(session, claim, {"a", "b", "poison"})
        part = pool_share(session, claim, {"a", "b"})
    assert whole is not None
    assert part is not None
    assert (whole.rounds, whole.most, whole.samples) == (18, 9, 4)
    assert whole.places == {"a": 0, "poison": 1, "b": 2}
    assert part.rounds == 12
    _, group_id = post(PROMPTS)
    with store.begin() as session:
        claim = leases.claim(session, group_id, owner="me", model=model.name, ttl_seconds=60)
        assert claim is not None
        assert pool_share(session, claim, {"a"}) is None
