from __future__ import annotations

from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from prelogit.align import AlignedResult, align
from prelogit.core.errors import RewardAnswerError
from prelogit.core.records import Iteration
from prelogit.engine.load import Model, prepare
from prelogit.methods import aisp
from prelogit.metrics.best_of import expected_best
from prelogit.noise import standard_normal
from prelogit.rewards.hosted.coherence import packaged_coherence
from prelogit.text import encode
from prelogit.wire.jobs import PromptItem, Stop
from prelogit.wire.params import AISP, BestOfN
from tests import tiny

CONFIG = LlamaConfig(
    hidden_size=48,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=257,
    max_position_embeddings=160,
    pad_token_id=0,
    bos_token_id=None,
    eos_token_id=[0, 7, 19],
)
PROMPTS = ["Hi", "What is a whale?", {"id": "long", "prompt": "Tell me about it. " * 4}]


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(CONFIG), tiny.tokenizer(), context=160)


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
        AISP(n=4, iterations=3),
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
