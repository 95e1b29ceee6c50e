"""Rows whose method picks stand still with a question; the others never notice."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prelogit.engine.engine import Engine
from prelogit.engine.load import Model, prepare
from prelogit.engine.memory.rows_limit import RowsLimit
from prelogit.search.plan import (
    Choice,
    Gaussian,
    Greedy,
    NoiseKey,
    Plan,
    Question,
    Rollouts,
    SearchId,
    TopK,
    TopP,
)
from tests import tiny
from tests.engine.conftest import FAMILIES
from tests.engine.graphs.stepping import ways
from tests.engine.test_engine import Watched, out_of_memory

TOKENS = 9
KINDS = ("llama", "gemma2-softcaps", "gemma3-sliding")
Answer = Callable[[Question], Choice]


@cache
def model(kind: str, attention: Any = "auto") -> Model:
    module = tiny.language_model(FAMILIES[kind])
    return prepare("tiny", module, tiny.tokenizer(), attention=attention)


def prompt_ids(prompt: int) -> list[int]:
    return [3 + (7 * i + 31 * prompt) % 250 for i in range(2 + 5 * prompt)]


def engine_for(mine: Model, *, rows: int = 64, decoder: Any = None) -> Engine:
    engine = Engine(decoder or mine.decoder, mine.head, mine.ends, RowsLimit(rows))
    for prompt in range(4):
        engine.admit(str(prompt), prompt_ids(prompt))
    return engine


def taking(place: Callable[[int, int, int], int]) -> Answer:
    """Answers by place among the candidates, a function of sample, step and tokens so far."""

    def answer(question: Question) -> Choice:
        m, k = question.token_ids.shape
        places = [
            place(int(sample), question.step, int(before.sum())) % k
            for sample, before in zip(question.sample, question.before, strict=True)
        ]
        at = torch.tensor(places)[:, None]
        zero = torch.zeros(m, dtype=torch.float64)
        log_p = question.log_p.gather(1, at)[:, 0]
        return Choice(question.token_ids.gather(1, at)[:, 0], zero - log_p, zero + 0.5)

    return answer


FIRST = taking(lambda sample, step, before: 0)
MIXED = taking(lambda sample, step, before: 5 * sample + 3 * step + before)


def asking(prompt: int, n: int, arm: int = 0, k: int = 4) -> tuple[SearchId, Plan]:
    return SearchId(str(prompt), arm), Plan(n, None, TopK(k), TOKENS)


def run(
    engine: Engine,
    plans: dict[SearchId, Plan],
    answer: Answer = MIXED,
    patience: Callable[[], int] = lambda: 0,
) -> dict[SearchId, Rollouts]:
    """All plans to their end; a question is answered after so many further steps."""
    for search, plan in plans.items():
        engine.add(search, plan)
    out: dict[SearchId, Rollouts] = {}
    open_: list[tuple[int, Question]] = []
    step = 0
    while engine.busy or open_:
        if engine.busy:
            for search, came in engine.step():
                if isinstance(came, Question):
                    open_.append((step + patience(), came))
                else:
                    assert isinstance(came, Rollouts)
                    assert search not in out
                    out[search] = came
        due = [one for one in open_ if one[0] <= step] or ([] if engine.busy else open_[:1])
        for one in due:
            open_.remove(one)
            engine.answer(one[1], answer(one[1]))
        step += 1
    return out


def same(got: Rollouts, want: Rollouts) -> None:
    for name in ("token_ids", "length", "stopped"):
        assert torch.equal(getattr(got, name), getattr(want, name)), name
    assert (got.log_ratio is None) == (want.log_ratio is None)
    if got.log_ratio is not None and want.log_ratio is not None:
        torch.testing.assert_close(got.log_ratio, want.log_ratio, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("attention", ["auto", "eager"])
@pytest.mark.parametrize("kind", KINDS)
def test_the_first_candidate_every_time_is_greedy_decoding(kind: str, attention: Any) -> None:
    mine = model(kind, attention)
    search, plan = asking(2, 3)
    (got,) = run(engine_for(mine), {search: plan}, FIRST).values()
    (want,) = run(engine_for(mine), {search: plan._replace(pick=Greedy())}).values()
    assert torch.equal(got.token_ids, want.token_ids)
    assert torch.equal(got.length, want.length)
    assert torch.equal(got.stopped, want.stopped)
    assert got.kl is not None
    assert got.kl.tolist() == [0.5 * length for length in got.length.tolist()]


def test_a_question_tells_the_text_so_far_and_its_candidates() -> None:
    mine = model("llama")
    engine = engine_for(mine)
    engine.add(*asking(1, 2))
    tokens: list[int] = []
    for step in range(1, TOKENS + 1):
        if step > 1:
            assert engine.step() == []  # the model reads the answer
        ((search, question),) = engine.step()
        assert isinstance(question, Question)
        assert (search, question.step) == (SearchId("1"), step)
        assert question.sample.tolist() == [0, 1]
        assert question.before.tolist() == [tokens, tokens]
        assert question.token_ids.shape == question.log_p.shape == (2, 4)
        assert question.tokens == 2 * (step - 1)
        logits = mine.module(input_ids=torch.tensor([prompt_ids(1) + tokens])).logits[0, -1]
        want = logits.double().log_softmax(dim=-1).topk(4)
        assert question.token_ids[0].tolist() == want.indices.tolist()
        torch.testing.assert_close(question.log_p[1], want.values, rtol=0, atol=1e-4)
        still = engine.busy
        engine.answer(question, FIRST(question))
        assert (still, engine.busy) == (False, True)
        last = question
        tokens.append(int(question.token_ids[0, 0]))
        if tokens[-1] in mine.ends:
            break
    ((_, rollouts),) = engine.step()
    assert isinstance(rollouts, Rollouts)
    assert rollouts.token_ids[0, : len(tokens)].tolist() == tokens
    assert rollouts.decode_seconds > last.decode_seconds > 0


@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS),
    asked=st.lists(st.tuples(st.integers(0, 3), st.integers(1, 5)), min_size=1, max_size=3),
    noisy=st.integers(0, 4),
    drawn=st.integers(0, 4),
    rows=st.integers(1, 24),
    patience=st.lists(st.integers(0, 6), min_size=1, max_size=7),
)
def test_whatever_shares_the_batch_and_however_long_answers_take(
    kind: str,
    asked: list[tuple[int, int]],
    noisy: int,
    drawn: int,
    rows: int,
    patience: list[int],
) -> None:
    mine = model(kind)
    plans = dict(asking(prompt, n, arm) for arm, (prompt, n) in enumerate(asked))
    key = NoiseKey(11, "x", 1)
    if noisy:
        mean = 0.3 * torch.ones(TOKENS, mine.dim)
        plans[SearchId("1", 7)] = Plan(noisy, Gaussian(mean, 0.8, key), Greedy(), 14)
    if drawn:
        plans[SearchId("2", 8)] = Plan(drawn, None, TopP(0.9, 0.9, key), 11)
    calls = iter(range(10**9))
    got = run(
        engine_for(mine, rows=rows), plans, patience=lambda: patience[next(calls) % len(patience)]
    )
    assert got.keys() == plans.keys()
    for search, plan in plans.items():
        (want,) = run(engine_for(mine), {search: plan}).values()
        same(got[search], want)


@settings(max_examples=12)
@given(calls=st.sets(st.integers(1, 24), min_size=1, max_size=2), patience=st.integers(0, 4))
@pytest.mark.parametrize("attention", ["auto", "eager"])
def test_memory_that_runs_out_while_questions_are_open_changes_nothing(
    attention: Any, calls: set[int], patience: int
) -> None:
    # A plan that finds no memory for a single row is tried once more: so two failures, not three.
    mine = model("llama", attention)
    plans = dict([asking(0, 3), asking(1, 4, 1), asking(1, 2, 2)])
    plans[SearchId("2")] = Plan(3, None, TopP(0.9, 0.9, NoiseKey(1, "2", 1)), 12)
    want = run(engine_for(mine), plans)
    getattr(mine.decoder, "clear", lambda: None)()
    decoder = Watched(mine.decoder, lambda call, _: call in calls, out_of_memory())
    got = run(engine_for(mine, decoder=decoder), plans, patience=lambda: patience)
    assert got.keys() == want.keys()
    for search in plans:
        same(got[search], want[search])


@pytest.mark.parametrize("kind", KINDS)
def test_static_shapes_leave_rows_that_wait_as_they_are(kind: str) -> None:
    """As on a GPU: rows that are not fed run along, and must not be written to."""
    mine = model(kind)
    plans = dict([asking(0, 3), asking(1, 4, 1), asking(1, 2, 2)])
    plans[SearchId("2")] = Plan(3, None, TopP(0.9, 0.9, NoiseKey(1, "2", 1)), 14)
    _, graph = ways(FAMILIES[kind])
    calls = iter(range(10**9))
    got = run(engine_for(mine, decoder=graph), plans, patience=lambda: (0, 3, 1)[next(calls) % 3])
    for search, plan in plans.items():
        (want,) = run(engine_for(mine), {search: plan}).values()
        same(got[search], want)


def test_a_late_answer_to_what_was_given_up_does_nothing() -> None:
    engine = engine_for(model("llama"))
    search, plan = asking(1, 2)
    engine.add(search, plan)
    ((_, old),) = engine.step()
    assert isinstance(old, Question)
    engine.drop(search)
    assert not engine.busy
    assert engine.rows == 0
    engine.answer(old, FIRST(old))
    assert not engine.busy
    (want,) = run(engine_for(model("llama")), {search: plan}).values()
    engine.add(search, plan)
    ((_, new),) = engine.step()
    assert isinstance(new, Question)
    engine.answer(old, FIRST(old))  # not what this plan would answer
    assert not engine.busy
    engine.answer(new, MIXED(new))
    (got,) = run(engine, {}).values()
    same(got, want)


def test_what_waits_for_room_begins_when_waiting_rows_are_dropped() -> None:
    engine = engine_for(model("llama"), rows=2)
    engine.add(*asking(1, 2))
    engine.add(SearchId("2"), Plan(2, None, Greedy(), 3))
    ((_, question),) = engine.step()
    assert isinstance(question, Question)
    while engine.busy:  # finds out that nothing fits
        assert engine.step() == []
    engine.drop(SearchId("1"))
    (got,) = run(engine, {}).keys()
    assert got == SearchId("2")


def test_a_row_is_ended_where_it_stands() -> None:
    engine = engine_for(model("llama"))
    search, plan = asking(3, 3)

    def cutting(question: Question) -> Choice:
        choice = MIXED(question)
        if question.step == 3:
            choice.token_ids[question.sample == 1] = -1
        return choice

    (got,) = run(engine, {search: plan}, cutting).values()
    (want,) = run(engine_for(model("llama")), {search: plan}).values()
    assert want.length.tolist()[1] > 2
    assert got.length.tolist() == [want.length[0], 2, want.length[2]]
    assert got.token_ids[1].tolist() == [*want.token_ids[1, :2].tolist(), *[-1] * (TOKENS - 2)]
    assert torch.equal(got.token_ids[[0, 2]], want.token_ids[[0, 2]])
    assert not got.stopped[1]
