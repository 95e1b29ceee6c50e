"""What ``align`` measures of an answer beside its reward."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prelogit.align import AlignedResult, align
from prelogit.engine.load import Model
from prelogit.rewards.hosted.coherence import packaged_coherence
from prelogit.text import encode
from prelogit.wire.jobs import PromptItem
from prelogit.wire.params import AISP, BestOfN
from tests import tiny
from tests.aligned import CONFIG, model

__all__ = ["model"]


def test_the_coherence_of_the_answer_is_measured_unless_told_not_to(model: Model) -> None:
    async def words(conversations: Any, responses: Any) -> Any:
        return await tiny.scoring(tiny.vowels)(conversations, responses)

    def run(**more: Any) -> AlignedResult:
        (result,) = align(model, ["Hello"], words, method=BestOfN(n=3), max_new_tokens=8, **more)
        return result

    result = run()
    asked = [{"role": "user", "content": "Hello"}]
    assert result.response
    assert result.coherence == packaged_coherence(asked, result.response)
    assert result.coherence is not None
    assert run(coherence=False).coherence is None


@pytest.mark.parametrize("silent", ["", "   "])
def test_an_empty_answer_has_a_reward_and_no_metrics(
    model: Model, monkeypatch: pytest.MonkeyPatch, silent: str
) -> None:
    monkeypatch.setattr("prelogit.solve.texts_of", lambda model, rollouts: [silent] * 3)
    (result,) = align(
        model,
        ["Hello"],
        tiny.scoring(lambda c, r: [1.0] * len(r)),
        method=BestOfN(n=3),
        max_new_tokens=2,
        top_k=3,
    )
    assert (result.status, result.response, result.reward) == ("succeeded", silent, 1.0)
    assert (result.coherence, result.diversity) == (None, None)
    assert len(result.responses) == 1


def test_the_nll_of_every_arms_answer_is_measured_unless_told_not_to(model: Model) -> None:
    searched = AISP(n=3, iterations=2)

    def run(method: Any = searched, **more: Any) -> AlignedResult:
        (result,) = align(
            model,
            ["Hello"],
            tiny.scoring(tiny.vowels),
            method=method,
            baselines=[BestOfN(), BestOfN(noise="gaussian")],
            max_new_tokens=8,
            keep="all",
            **more,
        )
        return result

    result = run()
    best = max(result.candidates, key=lambda one: one.reward)
    prompt = encode(model.tokenizer, PromptItem(prompt="Hello"))
    with torch.inference_mode():
        ids = torch.tensor([[*prompt, *best.token_ids]])
        logits = tiny.language_model(CONFIG)(input_ids=ids).logits[0, len(prompt) - 1 : -1]
    want = float(torch.nn.functional.cross_entropy(logits, torch.tensor(best.token_ids)))
    assert result.nll == pytest.approx(want, rel=1e-4)
    for baseline, noise in zip(result.baselines, (None, "gaussian"), strict=True):
        alone = run(method=BestOfN(n=result.samples, noise=noise))
        assert alone.response == baseline.response
        assert baseline.nll == alone.nll is not None
    assert len({result.nll, *(baseline.nll for baseline in result.baselines)}) == 3
    off = run(nll=False)
    assert (off.nll, off.baselines[0].nll) == (None, None)
    assert (off.response, off.reward) == (result.response, result.reward)


def test_an_nll_that_fails_costs_no_answer(model: Model, monkeypatch: pytest.MonkeyPatch) -> None:
    def short(*_: Any) -> Any:
        raise torch.OutOfMemoryError("CUDA out of memory")

    monkeypatch.setattr("prelogit.engine.likelihood._token_nll", short)
    (result,) = align(
        model,
        ["Hello"],
        tiny.scoring(tiny.vowels),
        method=BestOfN(n=3),
        baselines=[BestOfN()],
        max_new_tokens=8,
    )
    assert result.status == "succeeded"
    assert result.reward is not None
    assert (result.nll, result.baselines[0].nll) == (None, None)


def test_kl_of_a_search_that_did_not_move_is_zero(model: Model) -> None:
    """One sample has weight 1, but at a tiny variance the mean stays where the base model is."""
    (result,) = align(
        model,
        ["Hello"],
        tiny.scoring(tiny.vowels),
        method=AISP(n=2, iterations=1, sigma2=1e-12),
        max_new_tokens=8,
    )
    assert result.kl.token_exact == pytest.approx(0, abs=1e-6)
    assert result.kl.token_sampled == pytest.approx(0, abs=1e-3)
