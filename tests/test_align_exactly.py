"""``align`` decodes what the paper says, token by token: against slow and plain ways."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prelogit.align import align
from prelogit.engine.load import Model
from prelogit.methods.aisp import mean as aisp
from prelogit.noise import standard_normal
from prelogit.text import encode
from prelogit.wire.jobs import PromptItem
from prelogit.wire.params import AISP, BestOfN
from tests import tiny
from tests.aligned import CONFIG, PROMPTS, model

__all__ = ["model"]


def slow_aisp(
    module: Any, tokenizer: Any, prompt: str, name: str, params: AISP, tokens: int, seed: int
) -> list[list[list[int]]]:
    """Algorithm 1 on plain transformers, one sample and one full forward pass at a time."""
    output, dim = module.get_output_embeddings(), CONFIG.hidden_size
    ids = encode(tokenizer, PromptItem(prompt=prompt))
    tau = min(params.window or tokens, tokens)
    u = torch.zeros(tau, dim)
    sigma2, rounds = params.sigma2, []
    for k in range(1, params.iterations + 2):
        v = torch.stack(
            [
                torch.stack(
                    [
                        u[t]
                        + sigma2**0.5
                        * standard_normal(
                            seed=seed, prompt=name, iteration=k, sample=i, step=t + 1, dim=dim
                        )
                        for t in range(tau)
                    ]
                )
                for i in range(params.n)
            ]
        )
        answers = []
        for i in range(params.n):
            answer: list[int] = []
            while len(answer) < tokens and (not answer or answer[-1] not in CONFIG.eos_token_id):
                t = len(answer)

                def steer(_: Any, args: Any, i: int = i, t: int = t, v: torch.Tensor = v) -> Any:
                    z = args[0].clone()
                    if t < tau:
                        z[:, -1] += v[i, t]
                    return (z,)

                hook = output.register_forward_pre_hook(steer)
                logits = module(input_ids=torch.tensor([ids + answer])).logits[0, -1]
                hook.remove()
                answer.append(int(logits.argmax()))
            answers.append(answer)
        rounds.append(answers)
        texts = [tokenizer.decode(a, skip_special_tokens=True) for a in answers]
        rewards = torch.tensor(tiny.vowels([], texts), dtype=torch.float64)
        dots = torch.einsum("td,ntd->n", u.double(), v.double())
        tilt = (1 - params.alpha) / sigma2 * dots

        def softmax(
            lambda_: float, r: torch.Tensor = rewards, tilt: torch.Tensor = tilt
        ) -> torch.Tensor:
            return torch.softmax(r / lambda_ - tilt, 0)

        if params.lambda_ == "auto":
            low, high = 1e-9, 1e9
            for _ in range(200):
                middle = (low * high) ** 0.5
                small = float(1 / softmax(middle).square().sum()) < 0.3 * params.n
                low, high = (middle, high) if small else (low, middle)
            w = softmax(low)
        else:
            w = softmax(float(params.lambda_))
        moved = torch.einsum("n,ntd->td", w, v.double())
        if params.variance == "fixed":
            u = moved.float()
            continue
        ess = float(1 / w.square().sum())
        b = min(1.0, (ess * (1 - 0.2 ** (1 / params.iterations))) ** 0.5)
        u = ((1 - b) * u.double() + b * moved).float()
        share = float(u.double().square().mean())
        if share > 0.98 * params.sigma2:
            u = u * (0.98 * params.sigma2 / share) ** 0.5
        sigma2 = params.sigma2 - float(u.double().square().mean())
    return rounds


@pytest.mark.parametrize(
    "method",
    [
        AISP(proposal="mean", n=4, iterations=3),
        AISP.paper(n=4, iterations=3, lambda_=0.05, alpha=0.9),
        AISP(n=3, iterations=2, window=5, lambda_=0.02, sigma2=1.5),
    ],
)
def test_candidates_are_those_of_a_slow_aisp_on_plain_transformers(
    model: Model, method: AISP
) -> None:
    results = align(
        model,
        PROMPTS,
        tiny.scoring(tiny.vowels),
        method=method,
        max_new_tokens=12,
        seed=4,
        keep="all",
    )
    module = tiny.language_model(CONFIG)
    texts = {"p1": "Hi", "p2": "What is a whale?", "long": "Tell me about it. " * 4}
    for result in results:
        name = result.prompt_id
        with torch.inference_mode():
            want = slow_aisp(module, model.tokenizer, texts[name], name, method, 12, 4)
        got = [
            [list(c.token_ids) for c in result.candidates if c.iteration == k]
            for k in range(1, method.rounds + 1)
        ]
        assert got == want
        assert result.samples == len(result.candidates) == method.samples
        assert result.reward == max(c.reward for c in result.candidates)


def test_one_iteration_with_lambda_to_zero_picks_the_answer_of_best_of_n(model: Model) -> None:
    """Theorem 3.3: the weights fall on BoN's best sample, and U* without noise decodes it."""
    method = AISP.paper(n=12, iterations=1, lambda_=1e-9)
    score = tiny.scoring(tiny.vowels)
    options: Any = {"max_new_tokens": 10, "seed": 2, "keep": "all"}
    searched = align(model, PROMPTS, score, method=method, **options)
    drawn = align(model, PROMPTS, score, method=BestOfN(n=12, noise="gaussian"), **options)
    for mine, theirs in zip(searched, drawn, strict=True):
        first = [c for c in mine.candidates if c.iteration == 1]
        assert [c.token_ids for c in first] == [c.token_ids for c in theirs.candidates]
        row = mine.trace.iterations[0]
        best = max(range(12), key=lambda i, row=row: row.rewards[i])
        assert first[best].text == theirs.response
        assert row.weights[best] == pytest.approx(1)
        u = aisp.replay(mine.trace, seed=2, prompt=mine.prompt_id, sigma2=0.5, dim=model.dim)
        for t in range(10):
            v = 0.5**0.5 * standard_normal(
                seed=2, prompt=mine.prompt_id, iteration=1, sample=best, step=t + 1, dim=model.dim
            )
            assert torch.equal(u[t], v)


@pytest.mark.parametrize("scale", [100.0, 0.01])
def test_auto_lambda_finds_the_same_tokens_at_any_scale(model: Model, scale: float) -> None:
    options: Any = {"method": AISP(n=6, iterations=4), "max_new_tokens": 12, "keep": "all"}
    one = align(model, PROMPTS, tiny.scoring(tiny.vowels), **options)
    other = align(model, PROMPTS, tiny.scoring(tiny.vowels, scale=scale), **options)
    for a, b in zip(one, other, strict=True):
        assert [c.token_ids for c in a.candidates] == [c.token_ids for c in b.candidates]
        assert b.reward == pytest.approx(a.reward * scale)


def test_a_prompt_alone_gives_what_it_gives_in_company(model: Model) -> None:
    options: Any = {
        "method": AISP(n=5, iterations=3, batch_size=3),
        "baselines": [BestOfN(), BestOfN(noise="gaussian")],
        "max_new_tokens": 12,
        "keep": "all",
    }
    score = tiny.scoring(tiny.vowels)
    together = align(
        model, [{"id": f"q{i}", "prompt": "Why " * i} for i in (5, 1, 3)], score, **options
    )
    for i, mine in zip((5, 1, 3), together, strict=True):
        (alone,) = align(model, [{"id": f"q{i}", "prompt": "Why " * i}], score, **options)
        assert alone.candidates == mine.candidates
        assert [b.response for b in alone.baselines] == [b.response for b in mine.baselines]
        assert alone.trace.iterations[-1].weights == mine.trace.iterations[-1].weights


def test_vanishing_noise_gives_the_greedy_answer(model: Model) -> None:
    (result,) = align(
        model,
        ["What is it?"],
        tiny.scoring(tiny.vowels),
        method=AISP(n=3, iterations=2, sigma2=1e-14, variance="fixed", lambda_=1.0),
        max_new_tokens=12,
        keep="all",
    )
    module = tiny.language_model(CONFIG)
    ids = torch.tensor([encode(model.tokenizer, PromptItem(prompt="What is it?"))])
    with torch.inference_mode():
        want = module.generate(
            ids, attention_mask=torch.ones_like(ids), max_new_tokens=12, do_sample=False
        )[0, ids.shape[1] :]
    assert {c.token_ids for c in result.candidates} == {tuple(want.tolist())}
