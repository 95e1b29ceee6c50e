"""The engine keeps to its bounds, and running out of memory loses and changes nothing."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from prelogit.core.errors import MemoryShortError
from prelogit.core.memory import MemoryPlan
from prelogit.engine.decoder import Decoder
from prelogit.engine.engine import Engine
from prelogit.engine.load import Model, prepare
from prelogit.engine.memory.room import Room
from prelogit.engine.memory.rows_limit import RowsLimit
from prelogit.engine.prefix import Group, Prefix
from prelogit.engine.work import Seat, Work
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, Rollouts, SearchId, TopP
from tests import tiny
from tests.engine.conftest import FAMILIES

PROMPTS = {"a": [5, 9, 17], "b": list(range(40, 51)), "c": [3 + (7 * i) % 250 for i in range(37)]}
TOKENS = 12


@pytest.fixture(scope="module", params=["shared", "eager"])
def model(request: pytest.FixtureRequest) -> Model:
    module = tiny.language_model(FAMILIES["llama"])
    return prepare("tiny", module, tiny.tokenizer(), attention=request.param)


class Watched:
    """A decoder that notes what it is asked for, and may refuse it."""

    def __init__(self, inner: Decoder, refuse: Callable[[int, int], bool], error: Exception):
        self._inner, self._refuse, self._error = inner, refuse, error
        self.calls = 0
        self.rows: list[int] = []
        self.prefilled: list[tuple[int, ...]] = []
        self.suffixes: list[int] = []

    def _call(self, rows: int) -> None:
        self.calls += 1
        if self._refuse(self.calls, rows):
            raise self._error

    def prefill(self, token_ids: Sequence[int]) -> Prefix:
        self._call(0)
        self.prefilled.append(tuple(token_ids))
        return self._inner.prefill(token_ids)

    def forward(self, groups: list[Group], tokens: torch.Tensor) -> None:
        self._call(len(tokens))
        self.rows.append(len(tokens))
        self._inner.forward(groups, tokens)
        self.suffixes.append(self.nbytes)

    def keep(self, group: Group, rows: list[int]) -> None:
        self._inner.keep(group, rows)

    @property
    def nbytes(self) -> int:
        return getattr(self._inner, "nbytes", 0)

    def clear(self) -> None:
        getattr(self._inner, "clear", lambda: None)()


def out_of_memory() -> Exception:
    return torch.OutOfMemoryError("CUDA out of memory")


def never(call: int, rows: int) -> bool:
    return False


def watched(
    model: Model,
    refuse: Callable[[int, int], bool] = never,
    *,
    rows: int = 64,
    memory: MemoryPlan | None = None,
    error: Exception | None = None,
) -> tuple[Engine, Watched, RowsLimit]:
    limit = RowsLimit(rows)
    getattr(model.decoder, "clear", lambda: None)()  # what the test before has left
    decoder = Watched(model.decoder, refuse, error or out_of_memory())
    return Engine(decoder, model.head, model.ends, limit, memory), decoder, limit


def plans(model: Model, n: int = 4) -> dict[SearchId, Plan]:
    """Moved and unmoved noise, top-p alike and unlike, a measured draw, plain greedy."""
    torch.manual_seed(1)
    mean = 0.3 * torch.randn(TOKENS, model.dim)

    def key(prompt: str, iteration: int) -> NoiseKey:
        return NoiseKey(3, prompt, iteration)

    return {
        SearchId("a"): Plan(n, Gaussian(mean, 0.7, key("a", 2)), Greedy(), TOKENS),
        SearchId("b"): Plan(
            n, Gaussian(torch.zeros(8, model.dim), 0.5, key("b", 1)), Greedy(), TOKENS
        ),
        SearchId("c"): Plan(
            1,
            Gaussian(mean[:5], 0.0, key("c", 4)),
            TopP(1.0, 1.0, key("c", 4)),
            TOKENS,
            measure_kl=True,
        ),
        SearchId("a", 1): Plan(n, None, TopP(0.6, 0.9, key("a", 1)), TOKENS),
        SearchId("b", 1): Plan(n, None, Greedy(), 3),
        SearchId("c", 1): Plan(n, None, TopP(0.6, 0.9, key("c", 1)), TOKENS),
    }


def run(engine: Engine, given: dict[SearchId, Plan]) -> dict[SearchId, Any]:
    """What comes out; each plan once."""
    for name, ids in PROMPTS.items():
        engine.admit(name, ids)
    for search, plan in given.items():
        engine.add(search, plan)
    out: dict[SearchId, Any] = {}
    while engine.busy:
        for search, rollouts in engine.step():
            assert search not in out
            out[search] = rollouts
    return out


@lru_cache
def undisturbed_tokens(fingerprint: str, attention: str) -> dict[str, Any]:
    return {}


def undisturbed(model: Model) -> dict[SearchId, Any]:
    """What a run without any trouble gives."""
    kept = undisturbed_tokens(model.fingerprint, model.attention)
    if not kept:
        kept["all"] = run(watched(model)[0], plans(model))
    return dict(kept["all"])


def assert_same(got: dict[SearchId, Any], want: dict[SearchId, Any]) -> None:
    assert got.keys() == want.keys()
    for search, rollouts in got.items():
        assert isinstance(rollouts, Rollouts), rollouts
        for name in ("token_ids", "length", "stopped", "u_dot_noise", "log_ratio", "kl"):
            mine, other = getattr(rollouts, name), getattr(want[search], name)
            assert (mine is None) == (other is None)
            if mine is not None:
                torch.testing.assert_close(mine, other, rtol=1e-4, atol=1e-4)
        assert torch.equal(rollouts.token_ids, want[search].token_ids)


def test_plans_together_give_what_each_gives_alone(model: Model) -> None:
    together = run(watched(model)[0], plans(model))
    for search, plan in plans(model).items():
        assert_same(run(watched(model)[0], {search: plan}), {search: together[search]})


@settings(max_examples=8)
@given(st.sets(st.integers(1, 30), max_size=2), st.integers(1, 16))
@pytest.mark.parametrize("model", ["shared"], indirect=True)
def test_running_out_of_memory_at_any_call_changes_nothing(
    model: Model, calls: set[int], rows: int
) -> None:
    want = undisturbed(model)
    engine, decoder, _ = watched(model, lambda call, _: call in calls, rows=64)
    assert_same(run(engine, plans(model)), want)
    # And a device that never takes more than so many rows.
    engine, decoder, limit = watched(model, lambda _, live: live > rows)
    assert_same(run(engine, plans(model)), want)
    assert max(decoder.rows) <= rows
    assert limit.rows >= rows // 2


def test_rows_are_halved_told_and_dared_again(
    model: Model, caplog: pytest.LogCaptureFixture
) -> None:
    engine, decoder, limit = watched(model, lambda _, rows: rows > 3, rows=16)
    with caplog.at_level(logging.WARNING, logger="prelogit.engine"):
        run(engine, plans(model))
    assert max(decoder.rows) <= 3
    assert limit.rows == 2
    assert limit.halved >= 2
    told = [record.getMessage() for record in caplog.records]
    assert len(told) == limit.halved
    assert "rows=2" in told[-1]
    halved = limit.halved
    limit.dare()
    assert (limit.rows, limit.halved) == (4, max(1, halved - 1))
    limit.restore()
    assert (limit.rows, limit.halved) == (16, 0)


@pytest.mark.parametrize(
    "error",
    [
        MemoryError(),
        RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"),
    ],
)
def test_every_kind_of_running_out_is_known(model: Model, error: Exception) -> None:
    engine, _, _ = watched(model, lambda call, _: call == 4, error=error)
    assert_same(run(engine, plans(model)), undisturbed(model))


def test_other_failures_are_not_taken_for_it(model: Model) -> None:
    engine, _, _ = watched(model, lambda call, _: call == 4, error=RuntimeError("no such kernel"))
    with pytest.raises(RuntimeError, match="no such kernel"):
        run(engine, plans(model))


def test_a_prompt_that_never_fits_fails_alone(model: Model) -> None:
    want = undisturbed(model)
    engine, decoder, limit = watched(model)
    real = decoder.prefill

    def prefill(token_ids: Sequence[int]) -> Prefix:
        if len(token_ids) == len(PROMPTS["b"]):
            raise out_of_memory()
        return real(token_ids)

    decoder.prefill = prefill  # type: ignore[method-assign]
    got = run(engine, plans(model))
    for search in (SearchId("b"), SearchId("b", 1)):
        error = got.pop(search)
        want.pop(search)
        assert isinstance(error, MemoryShortError)
        assert "ran out of memory" in str(error)
        assert "max_new_tokens" in str(error)
    assert_same(got, want)
    assert limit.halved == 0  # the others do not pay for it


def test_lost_attempts_are_counted_as_decoding(model: Model) -> None:
    engine, decoder, _ = watched(model, lambda call, _: call == 12)
    clock = iter(range(10**6))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("time.perf_counter", lambda: float(next(clock)))
        got = run(engine, {SearchId("b", 1): Plan(2, None, Greedy(), 8)})
    # Each attempt to prefill or to step takes one second of this clock: none is left out.
    steps = decoder.calls + 1  # the last step of all has no forward
    (rollouts,) = got.values()
    assert rollouts.decode_seconds == rollouts.live_seconds
    assert rollouts.decode_seconds >= steps


def budget(model: Model, room: int) -> MemoryPlan:
    """A plan with so many bytes beside the weights."""
    taken = model.memory.footprint
    return MemoryPlan(taken.weights + taken.fixed + room, taken, 64)


def test_no_more_is_opened_than_fits(model: Model) -> None:
    want = undisturbed(model)
    longest = len(PROMPTS["c"])
    most = []
    for rows in (2, 16, 24):
        room = model.memory.need(rows, longest, TOKENS)
        engine, decoder, _ = watched(model, memory=budget(model, room))
        assert_same(run(engine, plans(model)), want)
        assert max(decoder.suffixes) <= room
        most.append(max(decoder.rows))
    assert most == sorted(most)
    assert 2 <= most[0] < most[-1]


def test_room_is_counted_to_the_row(model: Model) -> None:
    """A long prompt's forward pass, the rows' own keys and values, and what a step works with."""
    long, most = len(PROMPTS["c"]), 64
    live = Work(SearchId("c"), Plan(16, None, Greedy(), TOKENS), model.head.device)
    with torch.inference_mode():
        group = Group(model.decoder.prefill(PROMPTS["c"]), range(16), TOKENS)
    seat = Seat(live, group, tuple(range(16)))
    for rows in (32, 48):
        for less, want in ((0, rows), (1, rows - 1)):
            plan = budget(model, model.memory.need(rows, long, TOKENS) - less)
            room = Room(plan, watched(model)[1])
            assert room.fitting(most, [], 0, long, TOKENS) == want
            room.opened([seat])
            assert room.fitting(most, [seat], 0, long, TOKENS) == want - 16
            assert room.fitting(most, [seat], 10**6, long, TOKENS) == 0
    tight = Room(budget(model, model.memory.prefill_bytes(1000)), watched(model)[1])
    assert tight.fitting(most, [], 0, 1000, 1) == 0
    assert Room(None, watched(model)[1]).fitting(most, [], 0, 10**9, 1) == most


def test_a_prompt_is_read_when_its_rows_are_opened_and_idle_ones_make_way(model: Model) -> None:
    prompts = {"one": PROMPTS["c"], "two": PROMPTS["c"][::-1]}
    room = model.memory.need(16, len(PROMPTS["c"]), TOKENS)
    engine, decoder, _ = watched(model, memory=budget(model, room))
    given = {SearchId(name): Plan(16, None, Greedy(), TOKENS) for name in prompts}
    for name, ids in prompts.items():
        engine.admit(name, ids)
    for search, plan in given.items():
        engine.add(search, plan)
    engine.step()
    assert decoder.prefilled == [tuple(prompts["one"])]
    while engine.busy:
        engine.step()
    engine.add(SearchId("one"), given[SearchId("one")])
    while engine.busy:
        engine.step()
    assert decoder.prefilled == [tuple(prompts[name]) for name in ("one", "two", "one")]


def test_a_prompt_that_cannot_fit_is_told_so_before_it_is_read(model: Model) -> None:
    room = model.memory.need(2, len(PROMPTS["b"]), TOKENS)
    engine, decoder, _ = watched(model, memory=budget(model, room))
    got = run(engine, {SearchId(name): Plan(4, None, Greedy(), TOKENS) for name in PROMPTS})
    error = got.pop(SearchId("c"))
    assert isinstance(error, MemoryShortError)
    for word in ("37 tokens", "max_new_tokens", "PRELOGIT_MEMORY_GB"):
        assert word in str(error)
    assert all(isinstance(one, Rollouts) for one in got.values())
    assert tuple(PROMPTS["c"]) not in decoder.prefilled


def test_only_samples_that_have_not_ended_are_decoded_anew(model: Model) -> None:
    plan = Plan(3, Gaussian(torch.ones(4, model.dim), 0.5, NoiseKey(0, "a", 1)), Greedy(), 4)
    work = Work(SearchId("a"), plan, model.head.device)
    assert work.open(2) == [0, 1]
    work.record([0, 1], 1, torch.tensor([7, 0]), torch.tensor([False, True]))
    work.dot[:] = 5.0
    assert work.put_back([0, 1])
    assert work.unopened == [0, 2]
    assert work.token_ids.tolist() == [[-1] * 4, [0, -1, -1, -1], [-1] * 4]
    assert work.dot.tolist() == [0.0, 5.0, 5.0]
    assert work.length.tolist() == [0, 1, 0]
    work.open(2)
    work.record([0, 2], 1, torch.tensor([0, 0]), torch.tensor([True, True]))
    assert work.done
    assert not work.put_back([0, 2])


def test_plans_come_out_whole_when_dropped_searches_ran_beside_them(model: Model) -> None:
    engine, _, _ = watched(model, rows=7)
    want = undisturbed(model)
    for name, ids in PROMPTS.items():
        engine.admit(name, ids)
    for search, plan in plans(model).items():
        engine.add(search, plan)
    engine.step()
    engine.drop(SearchId("a"))
    out = {}
    while engine.busy:
        out.update(dict(engine.step()))
    want.pop(SearchId("a"))
    assert_same(out, want)
