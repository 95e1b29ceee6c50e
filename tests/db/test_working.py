"""A job's way through the store, from claim to results, and what its view adds up."""

from __future__ import annotations

import math
import statistics
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


FLOATS = (0.1, -0.0, 5e-324, 1.7976931348623157e308, 1 / 3, 2.0**53 + 2, 1e22, -1.5, 3.0)


def test_numbers_come_back_to_the_bit(store: Store, post: Post, take: Take, round_: Round) -> None:
    created = post(1)
    claim = take(created.group_ids[0])
    rows = [
        round_(
            k,
            rewards=FLOATS,
            weights=FLOATS[::-1],
            finish=("stop", "length") * 4 + ("stop",),
            mean=value,
            std=value,
            best=value,
            best_so_far=value,
            ess=value,
            step=value,
            sigma2=value,
            kl_gaussian=value,
            tokens=2**40,
            final=k == len(FLOATS),
            **{"lambda": value},
        )
        for k, value in enumerate(FLOATS, start=1)
    ]
    with store.begin() as session:
        for row in rows:
            trace.append(session, claim, "p1", 0, row, [])
        trace.append(session, claim, "p1", 1, round_(1), [])
    with reading(store) as session:
        stored = trace.rows(session, created.job_id, "p1", 0)
        assert trace.rows(session, created.job_id, "p1", 2) == []
    # repr tells -0.0 from 0.0 and every float64 from its neighbours
    assert [repr(row) for row in stored] == [repr(row) for row in rows]


def test_a_round_without_method_numbers_has_none(
    store: Store, post: Post, take: Take, round_: Round
) -> None:
    claim = take(post(1).group_ids[0])
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1), [])
    with reading(store) as session:
        (row,) = trace.rows(session, claim.job_id, "p1", 0)
    assert (row.ess, row.lambda_, row.sigma2, row.kl_gaussian, row.step) == (None,) * 5


def test_a_round_is_stored_once(store: Store, post: Post, take: Take, round_: Round) -> None:
    claim = take(post(1).group_ids[0])
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1), [])
    with store() as session, pytest.raises(StoreError, match="stored already"):
        trace.append(session, claim, "p1", 0, round_(1, rewards=(9.0, 9.0)), [])
    assert shown(store, claim.job_id).usage.candidates == 2


@pytest.mark.parametrize("bad", [math.inf, math.nan])
def test_a_mean_that_overflowed_is_refused_with_the_cure(
    store: Store, post: Post, take: Take, round_: Round, bad: float
) -> None:
    claim = take(post(1).group_ids[0])
    with store() as session, pytest.raises(StoreError, match="scale the reward down"):
        trace.append(session, claim, "p1", 0, round_(1, mean=bad), [])


def test_the_best_candidates_replace_each_other(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn
) -> None:
    claim = take(post(1, top_k=2).group_ids[0])
    other = drawn(1, 0, 0.1, "of the baseline")
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1), [drawn(1, 1, 0.5), drawn(1, 0, 0.2)])
        trace.append(session, claim, "p1", 1, round_(1), [other])
        # equal rewards: the order they were given in is the ranking
        trace.append(session, claim, "p1", 0, round_(2), [drawn(2, 7, 0.9), drawn(1, 1, 0.9)])
    with reading(store) as session:
        assert trace.kept(session, claim.job_id, "p1", 0) == [drawn(2, 7, 0.9), drawn(1, 1, 0.9)]
        assert trace.kept(session, claim.job_id, "p1", 1) == [other]


def test_all_candidates_stay_where_all_are_kept(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn
) -> None:
    claim = take(post(1, keep="all").group_ids[0])
    texts = ["nul\x00", "quote'\"", "жук 😀"]
    first = [drawn(1, sample, sample / 10, texts[sample]) for sample in range(3)]
    second = [drawn(2, sample, 0.0) for sample in range(3)]
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1), first[::-1])
        trace.append(session, claim, "p1", 0, round_(2), second)
    with reading(store) as session:
        assert trace.kept(session, claim.job_id, "p1", 0) == first + second
        best = results.read(session, claim.job_id, "p1")
    assert best is not None
    assert (best.response, best.reward) == ("жук 😀", 0.2)


def test_the_trace_holds_what_a_replay_needs(
    store: Store, post: Post, take: Take, round_: Round
) -> None:
    created = post(1, method={"name": "aisp", "lambda": 0.3, "n": 2}, seed=5)
    claim = take(created.group_ids[0])
    with store.begin() as session:
        trace.describe(session, claim, "p1", window=64, dim=576)
        trace.append(session, claim, "p1", 0, round_(1), [])
        trace.append(session, claim, "p1", 1, round_(1), [])
    with reading(store) as session:
        found = trace.trace(session, claim.job_id, "p1")
        assert trace.trace(session, claim.job_id, "nul\x00") is None
        assert trace.trace(session, "job_unknown", "p1") is None
    assert found is not None
    assert (found.seed, found.window, found.dim) == (5, 64, 576)
    assert (found.method["lambda"], found.method["variance"]) == (0.3, "preserve")
    assert found.iterations == (round_(1),)


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
                outcome(prompt_id, reward=reward, margins=margins[prompt_id]),
            )
    job = shown(store, created.job_id)
    assert job.usage.model_dump() == {
        "prompt_tokens": 20, "generated_tokens": 4 * 10 + 3 * 5, "candidates": 14,
        "reward_calls": 7, "reward_tokens": 0,
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
    assert (second.noise, second.margin, second.margin_se) == ("gaussian", 0.125, None)


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


def test_a_big_job_is_viewed_by_a_handful_of_queries(store: Store, post: Post, engine: Any) -> None:
    from sqlalchemy import event

    created = post(2000)
    queries: list[str] = []
    event.listen(
        engine, "before_cursor_execute", lambda *args: queries.append(args[2]), named=False
    )
    shown(store, created.job_id)
    assert len(queries) <= 8, queries
