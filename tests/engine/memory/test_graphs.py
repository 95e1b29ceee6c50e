"""What captured steps keep, to the byte: slabs of suffixes and prompts, and what draws tokens."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prelogit.core.build import build_of
from prelogit.core.memory import MemoryPlan
from prelogit.engine.engine import Engine
from prelogit.engine.graphs.graph import GraphDecoder
from prelogit.engine.load import Model, prepare
from prelogit.engine.memory.device import measure
from prelogit.engine.memory.room import Room
from prelogit.engine.memory.rows_limit import RowsLimit
from prelogit.engine.prefix import Group
from prelogit.engine.work import Seat, Work
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, Rollouts, SearchId
from tests import tiny
from tests.engine.conftest import FAMILIES
from tests.engine.graphs.recording import record
from tests.engine.graphs.stepping import ways
from tests.engine.memory.held import Held


def graphed(config: Any) -> tuple[Model, GraphDecoder]:
    model = prepare("tiny", tiny.language_model(config), tiny.tokenizer())
    _, decoder = ways(config, record)
    taken = measure(model.module, decoder, weights=0, shared=True)
    return dataclasses.replace(
        model, decoder=decoder, memory=MemoryPlan(None, taken, 64), ends=frozenset()
    ), decoder


def start(engine: Engine, model: Model, prompts: list[tuple[int, int, int]]) -> None:
    for number, (rows, prompt, new) in enumerate(prompts):
        engine.admit(str(number), [1 + (i + number) % 250 for i in range(prompt)])
        control = Gaussian(torch.ones(new, model.dim), 0.7, NoiseKey(0, "p", 1))
        engine.add(SearchId(str(number)), Plan(rows, control, Greedy(), new))


def kept(plan: MemoryPlan, prompts: list[tuple[int, int, int]]) -> int:
    """Rows, prompt tokens and new tokens of each prompt."""
    rows, new = sum(one[0] for one in prompts), max(one[2] for one in prompts)
    longest = max(one[1] for one in prompts)
    return plan.suffix_bytes(rows, longest, new) + plan.copies_bytes(len(prompts), longest)


@pytest.mark.parametrize(
    "prompts",
    [[(5, 9, 20)], [(33, 70, 40)], [(3, 9, 8), (20, 130, 34), (2, 65, 70)]],
    ids=["small", "padded", "three prompts"],
)
def test_the_prediction_is_what_the_decoder_holds(family: Any, prompts: Any) -> None:
    model, decoder = graphed(family)
    assert model.memory.footprint.graphs
    engine = Engine(decoder, model.head, model.ends, RowsLimit(64))
    start(engine, model, prompts)
    engine.step()
    assert decoder.nbytes == kept(model.memory, prompts)
    while engine.busy:
        engine.step()
    # What is kept for the next plans has the new plans' size, not the largest of either's sides.
    tall, wide = [(40, 5, 10)], [(2, 5, 150)]
    for one in (tall, wide, tall):
        start(engine, model, one)
        engine.step()
        engine.step()
        assert kept(model.memory, one) <= decoder.nbytes < 2 * kept(model.memory, one)
        while engine.busy:
            engine.step()


@pytest.mark.parametrize("name", ["llama", "gemma2-softcaps", "gpt2"])
def test_the_plan_is_an_upper_bound_of_what_is_held(name: str) -> None:
    for rows, prompt, new in ((3, 90, 20), (40, 30, 40)):
        model, decoder = graphed(FAMILIES[name])
        decoder.graphs._capture = decoder.draws(model.head).graphs._capture = lambda run: run
        engine = Engine(decoder, model.head, model.ends, RowsLimit(64))
        start(engine, model, [(rows, prompt, new)])
        with Held() as held:
            while engine.busy:
                engine.step()
        need = model.memory.need(rows, prompt, new)
        assert need / 4 < held.peak <= need + model.memory.footprint.fixed


@settings(max_examples=10, suppress_health_check=list(HealthCheck))
@given(
    st.lists(
        st.tuples(st.integers(2, 20), st.integers(1, 90), st.integers(2, 12)),
        min_size=1,
        max_size=5,
    ),
    st.integers(0, 4),
)
def test_never_more_is_kept_than_there_is_room(
    prompts: list[tuple[int, int, int]], spare: int
) -> None:
    model, decoder = graphed(FAMILIES["llama"])
    footprint = model.memory.footprint
    alone = max(model.memory.need(2, *one[1:]) for one in prompts)
    budget = footprint.fixed + alone * (4 + spare) // 4
    engine = Engine(
        decoder, model.head, model.ends, RowsLimit(64), MemoryPlan(budget, footprint, 64)
    )
    start(engine, model, prompts)
    done: list[Any] = []
    while engine.busy:
        done += engine.step()
        held = sum(prefix.nbytes for prefix in engine._prefixes.values())
        assert decoder.nbytes + held <= budget
    assert len(done) == len(prompts)
    assert all(isinstance(one, Rollouts) for _, one in done)


@torch.inference_mode()
def test_room_counts_buckets_and_the_second_copy_of_prompts() -> None:
    model, decoder = graphed(FAMILIES["llama"])
    footprint, prompt, new = model.memory.footprint, 200, 40
    budget = footprint.fixed + model.memory.need(32, prompt, new)
    for less, want in ((0, 32), (1, 24)):
        room = Room(MemoryPlan(budget - less, footprint, 64), decoder)
        assert room.fitting(64, [], 0, prompt, new) == want
    # Beside rows of the same prompt; and of another one, whose keys and values are kept twice.
    ids = [1 + i % 250 for i in range(prompt)]
    work = Work(SearchId("a"), Plan(16, None, Greedy(), new), model.head.device)
    seat = Seat(work, Group(decoder.prefill(ids), range(16), new), tuple(range(16)))
    room = Room(MemoryPlan(budget, footprint, 64), decoder)
    room.opened([seat])
    assert room.fitting(64, [seat], 0, prompt, new, prompt="a") == 16
    more = model.memory.copies_bytes(2, prompt) - model.memory.copies_bytes(1, prompt)
    for extra, want in ((more, 16), (more - 1, 8)):
        room = Room(MemoryPlan(budget + extra, footprint, 64), decoder)
        room.opened([seat])
        assert room.fitting(64, [seat], 0, prompt, new, prompt="b") == want


def test_without_graphs_nothing_is_kept_for_them() -> None:
    model = prepare("tiny", tiny.language_model(FAMILIES["llama"]), tiny.tokenizer())
    assert not model.memory.footprint.graphs
    assert model.memory.footprint.drawn == 0
    assert model.memory.copies_bytes(3, 100) == 0
    assert build_of(FAMILIES["llama"].to_dict()) is not None
