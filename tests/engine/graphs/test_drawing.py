"""The engine draws by the captured function, and its answers are those of the ordinary way."""

from __future__ import annotations

import dataclasses
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from prelogit.engine.draw import draw
from prelogit.engine.graphs import drawing
from prelogit.engine.graphs.graph import GraphDecoder
from prelogit.engine.graphs.static_draw import Drawn, StaticDraw
from prelogit.engine.load import Model, prepare
from prelogit.noise import Rows
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, Rollouts, SearchId, TopP
from tests import tiny
from tests.engine.conftest import FAMILIES
from tests.engine.graphs.recording import record
from tests.engine.graphs.stepping import ways

KEY = NoiseKey(3, "x", 2)
PROMPTS = {"a": [5, 9, 17], "b": list(range(40, 77)), "c": [8] * 20}


class Calls(StaticDraw):
    """Notes for how many rows it was called."""

    rows: list[int]

    def __call__(self, hidden: Tensor, mean: Tensor, sigma: Tensor, names: Rows) -> Drawn:
        self.rows.append(len(hidden))
        return super().__call__(hidden, mean, sigma, names)


def both(config: Any, capture: Any = record) -> tuple[Model, Model, Calls]:
    """A model as on CPU, the same with what a GPU does, and the calls of the latter."""
    model = prepare("tiny", tiny.language_model(config), tiny.tokenizer())
    _, graph = ways(config)
    calls = Calls(model.head, capture)
    calls.rows = []
    graph._draws = calls
    # Ends that come by chance, so that rows leave at all steps.
    ends = frozenset(range(0, 257, 9))
    model = dataclasses.replace(model, ends=ends)
    return model, dataclasses.replace(model, decoder=graph), calls


def gaussian(
    model: Model, window: int, sigma: float = 0.7, mean: float = 0.3, frozen: int = 0
) -> Gaussian:
    generator = torch.Generator().manual_seed(window)
    return Gaussian(mean * torch.randn(window, model.dim, generator=generator), sigma, KEY, frozen)


def decode(model: Model, plans: list[tuple[str, Plan]]) -> list[Rollouts]:
    engine = model.engine()
    for name, ids in PROMPTS.items():
        engine.admit(name, ids)
    out = {}
    for number, (prompt, plan) in enumerate(plans):
        engine.add(SearchId(prompt, number), plan)
    while engine.busy:
        out.update({search.arm: rollouts for search, rollouts in engine.step()})
    assert all(isinstance(one, Rollouts) for one in out.values())
    return [out[number] for number in sorted(out)]  # type: ignore[misc]


def same(got: list[Rollouts], want: list[Rollouts]) -> None:
    assert len(got) == len(want)
    for a, b in zip(got, want, strict=True):
        for field in ("token_ids", "length", "stopped", "u_dot_noise"):
            assert torch.equal(getattr(a, field), getattr(b, field)), field


def test_plans_of_all_kinds_beside_each_other(family: Any) -> None:
    ordinary, graphed, calls = both(family)
    plans = [
        ("a", Plan(5, gaussian(ordinary, 14), Greedy(), 14)),
        ("b", Plan(4, gaussian(ordinary, 5), Greedy(), 14)),  # a window shorter than the answer
        ("b", Plan(3, gaussian(ordinary, 9, sigma=0.0), Greedy(), 9)),  # the mean alone
        ("c", Plan(2, None, Greedy(), 11)),
        ("c", Plan(4, None, TopP(0.8, 0.9, KEY), 12)),
        ("a", Plan(3, gaussian(ordinary, 6, mean=0.0), TopP(1.0, 0.95, KEY), 8)),
        ("b", Plan(4, gaussian(ordinary, 9, frozen=5), Greedy(), 12)),
    ]
    want = decode(ordinary, plans)
    assert len({int(length) for one in want for length in one.length}) > 3  # rows do end
    same(decode(graphed, plans), want)
    assert max(calls.rows) == 25
    assert not calls.graphs.failed


def test_a_step_that_measures_kl_is_not_taken_and_others_are() -> None:
    ordinary, graphed, calls = both(FAMILIES["llama"])
    plans = [
        ("a", Plan(2, gaussian(ordinary, 4), Greedy(), 4, measure_kl=True)),
        ("b", Plan(3, gaussian(ordinary, 14), Greedy(), 14)),
    ]
    ordinary, graphed = (dataclasses.replace(one, ends=frozenset()) for one in (ordinary, graphed))
    want, got = decode(ordinary, plans), decode(graphed, plans)
    same(got, want)
    torch.testing.assert_close(got[0].kl, want[0].kl, rtol=1e-4, atol=1e-6)
    assert calls.rows == [3] * 10


def test_rows_that_all_sample_without_noise_save_nothing_by_it() -> None:
    ordinary, graphed, calls = both(FAMILIES["llama"])
    plans = [("a", Plan(4, None, TopP(0.8, 0.9, KEY), 9))]
    same(decode(graphed, plans), decode(ordinary, plans))
    assert calls.rows == []


class Failing:
    """A capture that cannot."""

    tried = 0

    def __call__(self, run: Callable[[], None], /) -> Callable[[], None]:
        self.tried += 1
        raise RuntimeError("operation not permitted when stream is capturing")


def test_a_failed_capture_is_warned_of_once_and_nothing_is_lost() -> None:
    failing = Failing()
    ordinary, graphed, calls = both(FAMILIES["llama"], failing)
    plans = [
        ("a", Plan(5, gaussian(ordinary, 14), Greedy(), 14)),
        ("c", Plan(12, None, Greedy(), 8)),
    ]
    with pytest.warns(UserWarning, match="CUDA graph") as told:
        got = decode(graphed, plans)
    assert len(told) == 1
    assert (failing.tried, len(calls.rows)) == (1, 1)  # the ordinary way from then on
    same(got, decode(ordinary, plans))


@torch.inference_mode()
def test_the_trial_at_the_start_lets_go_what_it_held_and_refuses_what_differs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    ordinary, _, calls = both(FAMILIES["gemma2-softcaps"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        drawing.check_static(calls, ordinary.head, torch.float32, 1e-3)
    assert len(calls.rows) == 2
    assert (calls.graphs.failed, calls.nbytes, len(calls.graphs)) == (False, 0, 0)

    def stale(run: Callable[[], None], /) -> Callable[[], None]:
        run()
        return lambda: None  # what is fed later changes nothing

    with pytest.warns(UserWarning, match="its logits differ by"):
        drawing.check_static(StaticDraw(ordinary.head, stale), ordinary.head, torch.float32, 1e-3)
    failing = StaticDraw(ordinary.head, Failing())
    with pytest.warns(UserWarning, match="RuntimeError: operation not permitted"):
        drawing.check_static(failing, ordinary.head, torch.float32, 1e-3)
    assert failing.graphs.failed


def test_memory_grows_with_the_rows_and_is_given_back() -> None:
    ordinary, graphed, calls = both(FAMILIES["llama"])
    graphed = dataclasses.replace(graphed, ends=frozenset())
    decoder = graphed.decoder
    assert isinstance(decoder, GraphDecoder)
    decode(graphed, [("a", Plan(3, gaussian(ordinary, 4), Greedy(), 4))])
    small = calls.nbytes
    decode(graphed, [("a", Plan(30, gaussian(ordinary, 4), Greedy(), 4))])
    assert calls.nbytes == 4 * small  # 32 rows, not 8
    assert decoder.nbytes > calls.nbytes
    decoder.clear()
    assert decoder.nbytes == 0


def test_without_the_function_nothing_changes() -> None:
    ordinary, graphed, calls = both(FAMILIES["llama"])
    assert draw.__defaults__ == (None,)
    assert ordinary.engine()._static is None
    assert graphed.engine()._static is calls
