"""From a claim to results, in the order of the prompts."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import events, jobs, leases, prompts, results, trace
from db.session import reading
from prelogit.core.errors import StoreError
from prelogit.core.records import Candidate, Iteration, Result
from prelogit.wire.jobs import Job

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]
Round = Callable[..., Iteration]
Drawn = Callable[..., Candidate]
Outcome = Callable[..., Result]


def shown(store: Store, job_id: str) -> Job:
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    return job


def told(store: Store, job_id: str, kind: str) -> list[dict[str, Any]]:
    with reading(store) as session:
        return [e.data for e in events.after(session, job_id, 0, 1000) if e.kind == kind]


def test_a_claim_carries_what_the_worker_needs(store: Store, post: Post, take: Take) -> None:
    created = post(
        ["plain", {"id": "chat", "messages": [{"role": "user", "content": "hi"}]}, "third"],
        tokens={"p1": 1, "chat": 2, "p3": 3},
        method={"name": "bon", "n": 4, "batch_size": 2},
        template="none",
        seed=2**63 - 1,
    )
    claim = take(created.group_ids[0], owner="w1")
    assert (claim.job_id, claim.group_id, claim.owner) == (
        created.job_id, created.group_ids[0], "w1",
    )  # fmt: skip
    assert [(p.prompt_id, p.index, p.fence, p.attempt) for p in claim.prompts] == [
        ("p1", 0, 1, 1), ("chat", 1, 1, 1),
    ]  # fmt: skip
    assert (claim.request.seed, claim.request.model) == (2**63 - 1, "tiny")
    assert (claim.request.method.name, claim.request.method.samples) == ("bon", 4)
    with reading(store) as session:
        plain, chat = prompts.spec(session, claim)
    assert (plain.text, plain.messages) == ("plain", [{"role": "user", "content": "plain"}])
    assert (chat.text, chat.messages) == (None, [{"role": "user", "content": "hi"}])
    assert (chat.index, chat.template, chat.prompt_tokens) == (1, "none", 2)
    job = shown(store, created.job_id)
    assert job.status == "running"
    assert job.started_at is not None
    assert (job.counts.running, job.counts.queued) == (2, 1)
    assert told(store, created.job_id, "job") == [{"id": created.job_id, "status": "running"}]


def test_results_come_in_the_order_of_the_prompts(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn, outcome: Outcome
) -> None:
    created = post(5, method={"name": "aisp", "batch_size": 4}, tokens={"p1": 99})
    claim = take(created.group_ids[0])
    best = drawn(1, 1, 0.7, "best so far")
    with store.begin() as session:
        trace.append(session, claim, "p3", 0, round_(1), [best, drawn(1, 0, 0.1)])
        trace.append(session, claim, "p3", 1, round_(1), [drawn(1, 0, 99.0)])
        results.finish(session, claim, "p4", outcome("p4", index=77, job_id="job_other"))
        results.finish(session, claim, "p2", outcome("p2"))
    with reading(store) as session:
        page, cursor = results.page(session, created.job_id, limit=3, cursor=None)
        rest, end = results.page(session, created.job_id, limit=3, cursor=cursor)
        ended = results.stream(session, created.job_id, limit=1)
        ended += results.stream(session, created.job_id, after_index=ended[-1].index, limit=9)
        one = results.read(session, created.job_id, "p3")
        assert results.read(session, created.job_id, "p9") is None
        assert results.page(session, "job_unknown", limit=3, cursor=None) == ([], None)
    everything = page + rest
    assert end is None
    assert [r.prompt_id for r in everything] == ["p1", "p2", "p3", "p4", "p5"]
    assert [r.index for r in everything] == [0, 1, 2, 3, 4]
    assert {r.job_id for r in everything} == {created.job_id}
    assert [r.status for r in everything] == [
        "queued", "succeeded", "running", "succeeded", "running",
    ]  # fmt: skip
    assert [r.prompt_id for r in ended] == ["p2", "p4"]
    assert one == everything[2]
    assert (one.response, one.reward, one.responses) == ("best so far", 0.7, (best,))
    assert (one.iterations, one.samples, one.generated_tokens) == (1, 2, 10)
    assert (one.seconds.decode, one.seconds.reward) == (1.0, 0.5)
    assert (everything[0].response, everything[0].reward, everything[0].samples) == (None, None, 0)


def test_a_stored_result_comes_back_whole(
    store: Store, post: Post, take: Take, drawn: Drawn, outcome: Outcome
) -> None:
    created = post(1, baselines=[{"name": "bon"}])
    given = outcome(
        "p1",
        reward=1 / 3,
        margins=(0.1,),
        responses=(drawn(1, 0, 1 / 3, "nul\x00"),),
        response="nul\x00 and \ufeff",
        finish_reason="length",
        kl={"gaussian": 0.1, "token_exact": 1e-300},
        diversity=0.25,
        picks={"held_out": {"iteration": 1, "sample": 2, "reward": -0.0, "text": "nul\x00"}},
        samples=2**40,
        seconds={"decode": 0.1},
        seed=2**63 - 1,
        model={"name": "tiny", "fingerprint": "f"},
        versions={"prelogit": "0.1.0"},
        warnings=("beware",),
    )
    with store.begin() as session:
        results.finish(session, take(created.group_ids[0]), "p1", given)
    with reading(store) as session:
        assert results.read(session, created.job_id, "p1") == given.model_copy(
            update={"job_id": created.job_id}
        )
    assert told(store, created.job_id, "result") == [
        {"prompt_id": "p1", "index": 0, "status": "succeeded", "reward": 1 / 3, "error": None}
    ]


@pytest.mark.parametrize(
    "wrong",
    [
        {"status": "running"},
        {"status": "queued"},
        {"reward": None},
        {"response": None},
        {"reward": math.inf},
        {"prompt_id": "p2"},
    ],
)
def test_what_is_no_result_is_refused(
    store: Store, post: Post, take: Take, outcome: Outcome, wrong: dict[str, Any]
) -> None:
    created = post(2)
    claim = take(created.group_ids[0])
    with store() as session, pytest.raises(StoreError):
        results.finish(session, claim, "p1", outcome(**{"prompt_id": "p1", **wrong}))
    assert shown(store, created.job_id).counts.running == 2
