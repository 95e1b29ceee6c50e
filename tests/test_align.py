"""What ``align`` answers: results with their costs, limits and failures."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prelogit.align import align
from prelogit.core.errors import RewardAnswerError
from prelogit.core.records import Iteration
from prelogit.engine.load import Model
from prelogit.metrics.best_of import expected_best
from prelogit.wire.jobs import Stop
from prelogit.wire.params import AISP, BestOfN
from tests import tiny
from tests.aligned import model

__all__ = ["model"]


def test_a_result_carries_its_costs_and_its_baselines_at_equal_samples(model: Model) -> None:
    seen: list[tuple[str, int, Iteration]] = []
    (result,) = align(
        model,
        ["Hello"],
        tiny.scoring(tiny.vowels),
        method=AISP(n=4, iterations=2),
        baselines=[BestOfN(), BestOfN(noise="gaussian"), BestOfN(n=5)],
        max_new_tokens=8,
        top_k=3,
        on_iteration=lambda *row: seen.append(row),
    )
    assert result.status == "succeeded"
    assert [b.samples for b in result.baselines] == [12, 12, 5]
    for baseline in result.baselines:
        assert baseline.margin == result.reward - baseline.reward
    assert [b.expected for b in result.baselines] == [
        result.baselines[0].reward,
        result.baselines[1].reward,
        None,  # five samples do not tell what twelve would have found
    ]
    assert [c.reward for c in result.responses] == sorted(
        (c.reward for c in result.responses), reverse=True
    )
    assert len(result.responses) == len(result.candidates) == 3
    assert result.responses[0].text == result.response
    assert result.generated_tokens == sum(row.tokens for row in result.trace.iterations)
    assert {arm for _, arm, _ in seen} == {0, 1, 2, 3}
    assert [row.k for _, arm, row in seen if arm == 0] == [1, 2, 3]
    best = [row.best_so_far for row in result.trace.iterations]
    assert best == sorted(best)
    assert result.kl.gaussian == result.trace.iterations[-1].kl_gaussian
    assert result.kl.token_exact is not None
    assert result.kl.token_exact >= 0
    assert result.kl.token_sampled is not None
    assert result.versions["torch"] == torch.__version__


def test_a_search_that_stopped_is_compared_at_the_samples_that_it_used(model: Model) -> None:
    seen: dict[int, tuple[float, ...]] = {}
    (result,) = align(
        model,
        ["Hello"],
        tiny.scoring(tiny.vowels),
        method=AISP(n=4, iterations=5),
        baselines=[BestOfN()],
        max_new_tokens=8,
        stop=Stop(samples=9),
        on_iteration=lambda prompt, arm, row: seen.update({arm: row.rewards}),
    )
    (baseline,) = result.baselines
    assert (result.samples, baseline.samples) == (8, 24)
    assert baseline.expected == expected_best(seen[1], 8)
    assert baseline.reward == max(seen[1]) > baseline.expected
    assert baseline.margin == result.reward - baseline.reward
    assert baseline.expected_margin == result.reward - baseline.expected


@pytest.mark.parametrize("keep", ["best", "all"])
def test_the_best_answers_are_different_texts(model: Model, keep: Any) -> None:
    (result,) = align(
        model,
        ["Hello"],
        tiny.scoring(lambda c, r: [-float(len(text)) for text in r]),
        method=AISP(n=16, iterations=1, sigma2=0.01),
        max_new_tokens=3,
        keep=keep,
        top_k=32,
    )
    texts = [candidate.text for candidate in result.responses]
    assert len(set(texts)) == len(texts) < 32
    if keep == "all":
        assert set(texts) == {candidate.text for candidate in result.candidates}
        assert len(result.candidates) == 32


def test_a_prompt_that_cannot_run_fails_alone(model: Model) -> None:
    results = align(
        model,
        ["ok", {"id": "big", "prompt": "x" * 200}],
        tiny.scoring(tiny.vowels),
        method=AISP(n=2, iterations=1),
        max_new_tokens=8,
    )
    assert [r.status for r in results] == ["succeeded", "failed"]
    assert results[1].error is not None
    assert "160" in results[1].error
    assert "max_new_tokens" in results[1].error
    assert results[1].reward is None
    assert results[1].trace.iterations == ()


def test_a_reward_that_answers_nonsense_fails_its_prompt_with_the_reason(model: Model) -> None:
    good = tiny.scoring(tiny.vowels)

    async def score(conversations: Any, responses: Any) -> Any:
        if conversations[0][-1]["content"] == "bad":
            raise RewardAnswerError("the reward answered NaN at place 0")
        return await good(conversations, responses)

    results = align(
        model,
        ["fine", "bad"],
        score,
        method=AISP(n=2, iterations=2),
        baselines=[BestOfN()],
        max_new_tokens=6,
    )
    assert [r.status for r in results] == ["succeeded", "failed"]
    assert results[1].error == "the reward answered NaN at place 0"
    assert results[1].reward is None


def test_rewards_that_tie_weigh_the_same_and_it_is_said(model: Model) -> None:
    (result,) = align(
        model,
        ["Hello"],
        tiny.scoring(lambda c, r: [1.0] * len(r)),
        method=AISP(n=4, iterations=2, alpha=0.999999),
        max_new_tokens=6,
    )
    assert result.trace.iterations[0].weights == (0.25,) * 4
    assert all(row.lambda_ is None for row in result.trace.iterations)
    assert any("tied" in told for told in result.warnings)


@pytest.mark.parametrize(
    ("stop", "rounds", "why"),
    [
        (Stop(reward=-100.0), 1, "target"),
        (Stop(tokens=1), 1, "tokens"),
        (Stop(plateau=2), 3, "plateau"),
        (Stop(samples=7), 3, "samples"),
        (Stop(samples=1), 1, "samples"),
        (Stop(samples=10), 5, None),
        (Stop(seconds=1e-9), 1, "seconds"),
        (Stop(reward=1e9), 5, None),
        (Stop(plateau=4), 5, None),
    ],
)
def test_a_search_stops_early_when_told_to_and_says_why(
    model: Model, stop: Stop, rounds: int, why: str | None
) -> None:
    (result,) = align(
        model,
        ["Hello"],
        tiny.scoring(lambda c, r: [1.0] * len(r)),
        method=AISP(n=2, iterations=4),
        max_new_tokens=4,
        stop=stop,
    )
    assert result.iterations == rounds
    assert result.status == "succeeded"
    assert result.stopped == why
