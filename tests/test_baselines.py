"""Soft best of n, greedy and plain sampling, alone and beside another method, through ``align``."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from prelogit.align import AlignedResult, align
from prelogit.core.ranking import rank
from prelogit.core.records import Candidate, Iteration, Result
from prelogit.engine.load import Model, prepare
from prelogit.replay import replay_result
from prelogit.rewards.function import from_callable
from prelogit.solve import Callbacks, PromptJob, Stored, solve
from prelogit.wire.jobs import JobRequest, PromptItem, Stop
from prelogit.wire.params import AISP, BestOfN, Greedy, Params, Sample, SoftBestOfN
from tests import tiny
from tests.aligned import CONFIG

SCORE = tiny.scoring(tiny.vowels)
PROMPTS = ["Hi", "What is a whale?", "Tell me about it.", "Tea"]


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(CONFIG), tiny.tokenizer(), context=160)


def run(model: Model, method: Params, **more: Any) -> list[AlignedResult]:
    options: dict[str, Any] = {"max_new_tokens": 10, "coherence": False, **more}
    return align(model, options.pop("prompts", PROMPTS), SCORE, method=method, **options)


@pytest.mark.parametrize("keep", ["best", "all"])
@pytest.mark.parametrize("top_k", [1, 3])
def test_the_drawn_answer_is_the_answer_everywhere(model: Model, keep: Any, top_k: int) -> None:
    results = run(model, SoftBestOfN(n=8, lambda_=1.0), keep=keep, top_k=top_k)
    below = 0
    for result in results:
        (row,) = result.trace.iterations
        assert row.chosen is not None
        assert result.reward == row.rewards[row.chosen]
        assert (result.samples, result.iterations, len(row.weights)) == (8, 1, 8)
        first, *others = result.responses
        assert (first.text, first.reward) == (result.response, result.reward)
        assert first.sample == row.chosen
        assert [c.reward for c in others] == sorted((c.reward for c in others), reverse=True)
        assert len(result.responses) <= top_k
        if top_k == 3:  # the best stands among the others
            assert max(c.reward for c in result.responses) == row.best
        below += result.reward < row.best
    assert below, "with a large lambda the best is not always drawn"


def test_towards_lambda_0_soft_best_of_n_is_best_of_n(model: Model) -> None:
    soft = run(model, SoftBestOfN(n=8, lambda_=1e-9))
    hard = run(model, BestOfN(n=8))
    assert [one.response for one in soft] == [one.response for one in hard]


def test_greedy_is_what_the_model_says(model: Model) -> None:
    (result,) = run(model, Greedy(), prompts=["What is it?"])
    module = tiny.language_model(CONFIG)
    from prelogit.text import encode

    ids = torch.tensor([encode(model.tokenizer, PromptItem(prompt="What is it?"))])
    with torch.inference_mode():
        want = module.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=10, do_sample=False
        )[0, ids.shape[1] :]
    assert result.candidates[0].token_ids == tuple(want.tolist())
    assert (result.samples, result.trace.iterations[0].weights) == (1, (1.0,))


def test_the_first_sample_is_the_answer_and_all_rewards_are_told(model: Model) -> None:
    for result in run(model, Sample(n=6), keep="all"):
        (row,) = result.trace.iterations
        assert result.reward == row.rewards[0]
        assert [c.reward for c in result.candidates] == list(row.rewards)
        assert result.response == result.candidates[0].text


def test_every_baseline_has_its_costs_margin_and_rewards(model: Model) -> None:
    baselines = [
        BestOfN(),
        SoftBestOfN(),
        SoftBestOfN(noise="gaussian"),
        Sample(),
        Sample(n=3),
        Greedy(),
    ]
    results = run(model, AISP(n=4, iterations=2), baselines=baselines)
    for result in results:
        found = result.baselines
        assert [(b.name, b.noise) for b in found] == [
            ("bon", None),
            ("soft_bon", None),
            ("soft_bon", "gaussian"),
            ("sample", None),
            ("sample", None),
            ("greedy", None),
        ]
        assert [b.samples for b in found] == [12, 12, 12, 12, 3, 1]
        for b in found:
            assert len(b.rewards) == b.samples
            assert b.reward in b.rewards
            assert b.margin == result.reward - b.reward
            assert b.generated_tokens >= b.samples
            assert b.seconds > 0
            assert b.response is not None
        bon, soft, _, sample, few, greedy = found
        assert bon.rewards == soft.rewards, "the same samples, so that only the choice differs"
        assert bon.reward == max(bon.rewards) == bon.expected
        assert min(bon.rewards) <= soft.expected <= bon.reward
        assert sample.expected == pytest.approx(sum(sample.rewards) / 12)
        assert few.expected == pytest.approx(sum(few.rewards) / 3)
        assert few.reward == few.rewards[0] == sample.rewards[0] == sample.reward
        assert greedy.expected == greedy.reward
        for b in (bon, soft, sample, few, greedy):
            assert b.expected_margin == result.reward - b.expected


def test_weights_of_more_samples_than_the_method_used_tell_nothing(model: Model) -> None:
    (result,) = run(
        model,
        AISP(n=4, iterations=5),
        prompts=["Hi"],
        baselines=[SoftBestOfN(), Sample(), SoftBestOfN(n=4)],
        stop=Stop(samples=4),
    )
    soft, sample, equal = result.baselines
    assert (result.samples, soft.samples, soft.expected, soft.expected_margin) == (
        4,
        24,
        None,
        None,
    )
    assert sample.expected == pytest.approx(sum(sample.rewards) / 24)
    assert equal.expected is not None


def test_a_baseline_by_a_value_network_needs_it(model: Model) -> None:
    from prelogit.core.errors import InputError
    from prelogit.wire.params import REControl

    with pytest.raises(InputError, match="there is no value 'missing'") as told:
        run(model, Greedy(), baselines=[BestOfN(n=2), REControl(value="missing")], home="/nowhere")
    assert told.value.field == "baselines.1.value"


def request_of(method: Params, **more: Any) -> JobRequest:
    return JobRequest(
        prompts=tuple(PromptItem(id=f"p{i}", prompt=text) for i, text in enumerate(PROMPTS)),
        method=method,
        max_new_tokens=10,
        **more,
    ).filled(model="tiny")


@pytest.mark.parametrize("keep", ["best", "all"])
@pytest.mark.parametrize("method", [SoftBestOfN(n=6, lambda_=1.0), Sample(n=6), Greedy()])
def test_a_resumed_prompt_gives_the_same_answer(model: Model, method: Params, keep: Any) -> None:
    request = request_of(method, keep=keep, baselines=(SoftBestOfN(n=5, lambda_=1.0),))
    rows: dict[tuple[str, int], Stored] = {}

    def solved(stored: bool) -> dict[str, Result]:
        results: dict[str, Result] = {}

        def on_iteration(prompt: str, arm: int, row: Iteration, kept: tuple[Candidate, ...]) -> Any:
            assert not stored, "nothing is decoded again"
            rows[prompt, arm] = Stored(
                (Iteration.model_validate_json(row.model_dump_json()),), kept
            )
            return "continue"

        jobs = [
            PromptJob(
                item.id or "",
                i,
                item,
                {a: rows[item.id or "", a] for a in (0, 1)} if stored else {},
            )
            for i, item in enumerate(request.prompts)
            if isinstance(item, PromptItem)
        ]
        calls = Callbacks(
            lambda *_: None, on_iteration, lambda result: results.update({result.prompt_id: result})
        )
        asyncio.run(solve(model, jobs, request, SCORE, calls))
        return results

    whole = solved(stored=False)
    again = solved(stored=True)
    for name, result in whole.items():
        assert again[name].response == result.response
        assert again[name].responses == result.responses
        assert again[name].baselines[0].response == result.baselines[0].response
        assert again[name].baselines[0].expected == result.baselines[0].expected


def test_a_row_of_an_older_version_makes_the_best_the_answer() -> None:
    old = (
        '{"k": 1, "mean": 1, "std": 0, "best": 2, "best_so_far": 2, "rewards": [0, 2], '
        '"weights": [0.5, 0.5], "finish": ["stop", "stop"], "tokens": 2, "seconds": {}, "final": true}'
    )
    row = Iteration.model_validate_json(old)
    made = [
        Candidate(
            iteration=1, sample=i, token_ids=(1,), text=str(r), reward=r, finish_reason="stop"
        )
        for i, r in enumerate(row.rewards)
    ]
    assert row.chosen is None
    assert rank(made, [row]) == made[::-1]


def test_the_answer_is_made_again_from_the_trace(model: Model) -> None:
    for method in (SoftBestOfN(n=5, noise="gaussian"), Sample(n=4), Greedy()):
        for result in run(
            model, method, prompts=[{"id": "p1", "prompt": "What is a whale?"}], keep="all"
        ):
            answer = rank(result.candidates, result.trace.iterations)[0]
            assert answer.text == result.response
            again = replay_result(
                model,
                PromptItem(prompt="What is a whale?"),
                request_of(method),
                result.trace,
                answer,
            )
            assert (again.same, again.text) == (True, result.response)


def test_ties_are_told_and_a_single_sample_is_fine(model: Model) -> None:
    async def tied(conversations: Any, responses: Any) -> Any:
        return await tiny.scoring(lambda c, r: [1.0] * len(r))(conversations, responses)

    (result,) = align(model, ["Hi"], tied, method=SoftBestOfN(n=4), max_new_tokens=6)
    (row,) = result.trace.iterations
    assert (row.lambda_, row.weights, row.ess) == (None, (0.25,) * 4, 4.0)
    assert result.warnings == ("all rewards tied: the answer was drawn with equal weights",)
    for method in (SoftBestOfN(n=1), Sample(n=1)):
        (alone,) = run(model, method, prompts=["Hi"])
        assert (alone.status, alone.samples, alone.warnings) == ("succeeded", 1, ())


def test_rewards_that_are_no_numbers_fail_the_prompt_with_the_reason(model: Model) -> None:
    nonsense = from_callable(lambda conversations, responses: [math.nan] * len(responses))
    for method in (SoftBestOfN(n=3), Sample(n=3), Greedy()):
        (result,) = align(model, ["Hi"], nonsense, method=method, max_new_tokens=6)
        assert (result.status, result.response) == ("failed", None)
        assert "nan" in str(result.error).lower()
    (beside,) = align(
        model, ["Hi"], nonsense, method=Greedy(), baselines=[SoftBestOfN(n=2)], max_new_tokens=6
    )
    assert beside.baselines[0].margin is None
    assert beside.baselines[0].rewards == ()


def test_an_empty_response_is_an_answer_like_any_other() -> None:
    config = LlamaConfig(**{**CONFIG.to_dict(), "eos_token_id": list(range(257))})
    ending = prepare("ends", tiny.language_model(config), tiny.tokenizer(), context=160)
    for method in (SoftBestOfN(n=4), Sample(n=2), Greedy()):
        (result,) = run(ending, method, prompts=["Hi"])
        assert result.status == "succeeded"
        assert result.finish_reason == "stop"
        assert result.generated_tokens == result.samples
        assert result.reward is not None
        assert math.isfinite(result.reward)
