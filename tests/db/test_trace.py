"""Traces and kept candidates come back as they were written, to the bit."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import events, jobs, leases, results, trace
from db.session import reading
from prelogit.core.errors import StoreError
from prelogit.core.records import Candidate, Iteration
from prelogit.wire.jobs import Job

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]
Round = Callable[..., Iteration]
Drawn = Callable[..., Candidate]


def shown(store: Store, job_id: str) -> Job:
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    return job


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
            diversity=value,
            held_out=dict.fromkeys(("mean", "best", "of_best", "best_so_far"), value)
            | {"rewards": FLOATS},
            guided={"scored_partials": k, "token_sampled": value, "cut": "seconds"},
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
    assert row.chosen is None
    assert (row.guided, row.held_out, row.diversity) == (None, None, None)


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


LOOKED = {"mean": 0.5, "best": 1 / 3, "of_best": -0.0, "best_so_far": 2.0, "rewards": (1 / 3, -0.0)}


def test_a_mean_of_the_held_out_reward_that_overflowed_is_refused_too(
    store: Store, post: Post, take: Take, round_: Round
) -> None:
    row = round_(1, held_out=LOOKED | {"mean": math.inf})
    claim = take(post(1).group_ids[0])
    with store() as session, pytest.raises(StoreError, match=r"held_out\.mean=inf"):
        trace.append(session, claim, "p1", 0, row, [])


def test_what_a_second_reward_says_is_stored_and_told(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn
) -> None:
    claim = take(post(1, top_k=1).group_ids[0])
    kept = [
        drawn(1, 0, 0.9, "a", -0.0),
        drawn(1, 1, 0.1, "b", 1 / 3, True),
        drawn(1, 2, 0.2, "c", None, False),
    ]
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1, held_out=LOOKED), kept)
    with reading(store) as session:
        stored = trace.kept(session, claim.job_id, "p1", 0)
        running = results.read(session, claim.job_id, "p1")
        told = [one.data for one in events.after(session, claim.job_id, 0, 9)][-1]
    assert [repr(one) for one in stored] == [repr(one) for one in kept]
    assert running is not None
    assert running.responses == (kept[0],), "what another criterion picks is no answer"
    assert told["held_out"] == {name: LOOKED[name] for name in LOOKED if name != "rewards"}


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


def test_a_prompt_that_runs_shows_no_text_twice(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn
) -> None:
    claim = take(post(2, keep="all", top_k=2).group_ids[0])
    texts = ["twice", "same", "same", "twice", "last"]
    rewards = [0.9, 0.7, 0.8, 0.9, 0.1]
    pairs = enumerate(zip(texts, rewards, strict=True))
    made = [drawn(1, sample, reward, text) for sample, (text, reward) in pairs]
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(1), made)
        trace.append(session, claim, "p2", 0, round_(1), made[-1:])
    with reading(store) as session:
        first, second = results.page(session, claim.job_id, limit=2, cursor=None)[0]
        assert trace.kept(session, claim.job_id, "p1", 0) == made
    assert first.responses == (made[0], made[2])
    assert second.responses == (made[4],)


def test_an_answer_that_is_not_the_best_comes_first(
    store: Store, post: Post, take: Take, round_: Round, drawn: Drawn
) -> None:
    claims = [take(post(1, keep=keep, top_k=2).group_ids[0]) for keep in ("all", "best", "all")]
    made = [drawn(1, sample, reward, f"text {sample}") for sample, reward in enumerate((1, 0, 2))]
    answer_first = [made[1], made[2]]
    with store.begin() as session:
        trace.append(session, claims[0], "p1", 0, round_(1, chosen=1), made)
        trace.append(session, claims[1], "p1", 0, round_(1, chosen=1), answer_first)
        trace.append(session, claims[2], "p1", 0, round_(1, chosen=0), made)
    with reading(store) as session:
        kept = [trace.kept(session, claim.job_id, "p1", 0) for claim in claims]
        found = [results.read(session, claim.job_id, "p1") for claim in claims]
        rows = [trace.rows(session, claim.job_id, "p1", 0)[0] for claim in claims]
    assert kept == [[made[1], made[0], made[2]], answer_first, made]
    assert [row.chosen for row in rows] == [1, 1, 0]
    shown = [result.responses for result in found if result is not None]
    assert shown == [tuple(answer_first), tuple(answer_first), (made[0], made[2])]


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
    assert (found.method["lambda"], found.method["proposal"]) == (0.3, "texts")
    assert found.iterations == (round_(1),)
