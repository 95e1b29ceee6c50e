"""A search that goes on from its stored rows gives what it would have given without the break."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, Literal, get_args

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelogit.core.records import Candidate, Iteration, Result
from prelogit.engine.load import Model, prepare
from prelogit.solve import Callbacks, PromptJob, Stored, solve
from prelogit.wire.jobs import JobRequest, PromptItem, RewardRef, Stop
from prelogit.wire.params import AISP, BestOfN
from tests import tiny
from tests.aligned import CONFIG

Rows = dict[tuple[str, int], list[tuple[Iteration, tuple[Candidate, ...]]]]
Search = Literal["texts", "mean", "mean, sigma2 auto", "a window that moves"]
METHODS: dict[Search, AISP] = {
    "texts": AISP(n=4, iterations=3),
    "mean": AISP(n=4, iterations=3, proposal="mean"),
    "mean, sigma2 auto": AISP(n=4, iterations=3, proposal="mean", sigma2="auto"),
    "a window that moves": AISP(n=4, iterations=3, horizon=4),
}
PROMPTS = {"a": "Hi", "b": "What is a whale?", "c": "Tell me about it. " * 4}


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(CONFIG), tiny.tokenizer(), context=160)


def spaces(conversations: Any, responses: list[str]) -> list[float]:
    return [float(sum(ord(letter) for letter in text) % 17) for text in responses]


def search(
    model: Model, stored: Mapping[str, Mapping[int, Stored]], of: Search = "texts"
) -> tuple[dict[str, Result], Rows]:
    request = JobRequest(
        prompts=tuple(PromptItem(id=name, prompt=text) for name, text in PROMPTS.items()),
        method=METHODS[of],
        baselines=(BestOfN(n=6),),
        max_new_tokens=10,
        held_out=RewardRef(name="other"),
        stop=Stop(kl=1e9),
    ).filled(model="tiny")
    jobs = [
        PromptJob(item.id or "", index, item, stored.get(item.id or "", {}))
        for index, item in enumerate(request.prompts)
        if isinstance(item, PromptItem)
    ]
    results: dict[str, Result] = {}
    rows: Rows = {}

    def on_iteration(prompt: str, arm: int, row: Iteration, kept: tuple[Candidate, ...]) -> Any:
        rows.setdefault((prompt, arm), []).append((row, kept))
        return "continue"

    def on_result(result: Result) -> None:
        results[result.prompt_id] = result

    calls = Callbacks(lambda *_: None, on_iteration, on_result)
    reward, held_out = tiny.scoring(tiny.vowels), tiny.scoring(spaces)
    asyncio.run(solve(model, jobs, request, reward, calls, held_out=held_out))
    return results, rows


@settings(max_examples=16)
@given(
    cuts=st.fixed_dictionaries({name: st.integers(0, 4) for name in PROMPTS}),
    of=st.sampled_from(get_args(Search)),
)
def test_resumed_anywhere(model: Model, cuts: dict[str, int], of: Search) -> None:
    whole, rows = _whole(model, of)
    stored = {
        name: {
            0: Stored(
                tuple(row for row, _ in rows[name, 0][:cut]),
                rows[name, 0][cut - 1][1] if cut else (),
            )
        }
        for name, cut in cuts.items()
    }
    resumed, again = search(model, stored, of)
    for name, cut in cuts.items():
        assert resumed[name].response == whole[name].response
        assert resumed[name].reward == whole[name].reward
        # A sum over all tokens: its last digits may depend on how many rows were summed.
        assert resumed[name].kl.token_exact == pytest.approx(whole[name].kl.token_exact, rel=1e-5)
        assert _picked(resumed[name]) == _picked(whole[name])
        want, got = rows[name, 0][cut:], again.get((name, 0), [])
        assert [row.rewards for row, _ in got] == [row.rewards for row, _ in want]
        assert [row.held_out for row, _ in got] == [row.held_out for row, _ in want]
        assert [row.population for row, _ in got] == [row.population for row, _ in want]
        for (mine, _), (other, _) in zip(got, want, strict=True):
            assert mine.weights == other.weights
            # The mean's to the bit; of texts it is a mean over tokens, as the KL.
            exact = 1e-6 if of == "texts" else 0
            assert mine.sigma2 == pytest.approx(other.sigma2, rel=exact, abs=0)


def test_sigma2_auto_stays_what_the_first_row_says(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also where the model is loaded anew, on a machine that measures something else."""
    whole, rows = _whole(model, "mean, sigma2 auto")
    assert {rows[name, 0][0][0].sigma2 for name in PROMPTS} == {model.sigma2}
    monkeypatch.setitem(model.__dict__, "sigma2", 2 * model.sigma2)
    stored = {
        name: {0: Stored(tuple(row for row, _ in rows[name, 0][:1]), rows[name, 0][0][1])}
        for name in PROMPTS
    }
    resumed, again = search(model, stored, "mean, sigma2 auto")
    for name in PROMPTS:
        assert resumed[name].response == whole[name].response
        told = [(row.sigma2, row.kl_gaussian, row.rewards) for row, _ in again[name, 0]]
        assert told == [(row.sigma2, row.kl_gaussian, row.rewards) for row, _ in rows[name, 0][1:]]
    _, other = search(model, {}, "mean, sigma2 auto")
    assert other["a", 0][0][0].sigma2 == model.sigma2, "it is the model's where nothing is stored"


def _picked(result: Result) -> list[tuple[Any, ...]]:
    assert result.picks is not None
    found = (result.picks.reward, result.picks.held_out, result.picks.kl)
    return [(p.iteration, p.sample, p.reward, p.held_out, p.text) for p in found if p is not None]


_KEPT: dict[Search, tuple[dict[str, Result], Rows]] = {}


def _whole(model: Model, of: Search) -> tuple[dict[str, Result], Rows]:
    if of not in _KEPT:
        _KEPT[of] = search(model, {}, of)
    return _KEPT[of]
