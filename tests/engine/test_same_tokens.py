"""In float32 a candidate's tokens are its own: no batch, order, thread or resume changes them."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any, NamedTuple

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prelogit.engine.engine import Engine
from prelogit.engine.load import Model, prepare
from prelogit.engine.memory.rows_limit import RowsLimit
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, Rollouts, SearchId, TopP
from tests import tiny
from tests.engine.conftest import FAMILIES

# With windows of 12 tokens, with normed queries, with noise that is added to a scaled state.
KINDS = ("llama", "mistral-sliding", "qwen3", "gemma3-sliding")


class Asked(NamedTuple):
    """A plan by the numbers it is made of, and the step it comes at."""

    prompt: int
    samples: int
    tokens: int
    sampled: bool
    iteration: int = 1
    after: int = 0


@pytest.fixture(autouse=True)
def threads() -> Iterator[None]:
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


@cache
def model(kind: str) -> Model:
    return prepare("tiny", tiny.language_model(FAMILIES[kind]), tiny.tokenizer())


def prompt_ids(prompt: int) -> list[int]:
    return [3 + (7 * i + 31 * prompt) % 250 for i in range(1 + 6 * prompt)]


def plan_of(asked: Asked, dim: int) -> Plan:
    name = str(asked.prompt)
    key = NoiseKey(11, name, asked.iteration)
    if asked.sampled:
        return Plan(asked.samples, None, TopP(0.9, 0.9, key), asked.tokens)
    mean = torch.randn(asked.tokens, dim, generator=torch.Generator().manual_seed(asked.prompt))
    return Plan(asked.samples, Gaussian(0.3 * mean, 0.8, key), Greedy(), asked.tokens)


def decode(kind: str, plans: list[Asked], rows: int = 64) -> dict[Asked, Rollouts]:
    """All plans in one engine, each added at its step."""
    mine = model(kind)
    engine = Engine(mine.decoder, mine.head, mine.ends, RowsLimit(rows))
    for asked in plans:
        engine.admit(str(asked.prompt), prompt_ids(asked.prompt))
    waiting, out, step = sorted(plans, key=lambda one: one.after), {}, 0
    names = {SearchId(str(asked.prompt), arm): asked for arm, asked in enumerate(plans)}
    while waiting or engine.busy:
        while waiting and (waiting[0].after <= step or not engine.busy):
            asked = waiting.pop(0)
            search = next(name for name, one in names.items() if one is asked)
            engine.add(search, plan_of(asked, mine.dim))
        for search, rollouts in engine.step():
            assert isinstance(rollouts, Rollouts)
            out[names[search]] = rollouts
        step += 1
    return out


@cache
def alone(kind: str, asked: Asked) -> Rollouts:
    torch.set_num_threads(1)
    return decode(kind, [asked])[asked]


ASKED = st.builds(
    Asked,
    prompt=st.integers(0, 7),
    samples=st.integers(1, 7),
    tokens=st.integers(1, 20),
    sampled=st.booleans(),
    iteration=st.integers(1, 3),
    after=st.integers(0, 12),
)


@settings(max_examples=40)
@given(
    kind=st.sampled_from(KINDS),
    plans=st.lists(ASKED, min_size=1, max_size=6, unique=True),
    rows=st.integers(1, 40),
    threads=st.integers(1, 3),
    shuffled=st.randoms(use_true_random=False),
)
def test_whatever_shares_the_batch(
    kind: str, plans: list[Asked], rows: int, threads: int, shuffled: Any
) -> None:
    want = {asked: alone(kind, asked._replace(after=0)) for asked in plans}
    shuffled.shuffle(plans)
    torch.set_num_threads(threads)
    got = decode(kind, plans, rows)
    assert got.keys() == want.keys()
    for asked, rollouts in want.items():
        assert torch.equal(got[asked].token_ids, rollouts.token_ids)
        assert torch.equal(got[asked].u_dot_noise, rollouts.u_dot_noise)
        assert torch.equal(got[asked].stopped, rollouts.stopped)


@settings(max_examples=25)
@given(
    kind=st.sampled_from(KINDS),
    plans=st.lists(ASKED, min_size=2, max_size=5, unique=True),
    cut=st.integers(0, 15),
)
def test_a_search_that_is_dropped_leaves_the_others_alone(
    kind: str, plans: list[Asked], cut: int
) -> None:
    mine = model(kind)
    engine = Engine(mine.decoder, mine.head, mine.ends, RowsLimit(64))
    for arm, asked in enumerate(plans):
        engine.admit(str(asked.prompt), prompt_ids(asked.prompt))
        engine.add(SearchId(str(asked.prompt), arm), plan_of(asked, mine.dim))
    out: dict[int, Rollouts] = {}
    step = 0
    while engine.busy:
        if step == cut:
            engine.drop(SearchId(str(plans[0].prompt), 0))
        for search, rollouts in engine.step():
            assert isinstance(rollouts, Rollouts)
            out[search.arm] = rollouts
        step += 1
    for arm, asked in enumerate(plans):
        if arm or arm in out:
            want = alone(kind, asked._replace(after=0))
            assert torch.equal(out[arm].token_ids, want.token_ids)
