"""ARGS from the prompt to the result, against a slow one on plain transformers."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from prelogit.align import AlignedResult, align
from prelogit.core.errors import InputError
from prelogit.core.records import Candidate, Iteration, Result
from prelogit.engine.load import Model, prepare
from prelogit.noise import rows_of, uniform_rows
from prelogit.replay import replay_result
from prelogit.rewards.local import classifier
from prelogit.rewards.protocol import Scores
from prelogit.solve import Callbacks, PromptJob, Stored, solve
from prelogit.text import encode
from prelogit.wire.jobs import JobRequest, PromptItem, Stop
from prelogit.wire.params import AISP, ARGS, BestOfN, Greedy
from tests import tiny
from tests.rewards.conftest import letter_tokenizer, save_llama

CONFIG = LlamaConfig(
    hidden_size=48,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    vocab_size=257,
    pad_token_id=0,
    bos_token_id=None,
    eos_token_id=[0, 7, 19],
)
TEXTS = {"a": "Hi", "b": "What is a whale?", "c": "Tell me about it. " * 4}
PROMPTS = [{"id": name, "prompt": text} for name, text in TEXTS.items()]
TOKENS = 10
METHODS = [
    ARGS(weight=8.0, k=6),
    ARGS(mode="stochastic", n=3, weight=8.0, k=5, temperature=0.8),
]


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(CONFIG), tiny.tokenizer(), context=160)


@pytest.fixture(scope="module")
def module() -> Any:
    return tiny.language_model(CONFIG)


def counting(calls: list[int]) -> Any:
    """The vowels as a Score, and how many texts each call brought."""
    plain = tiny.scoring(tiny.vowels)

    async def score(conversations: list[list[dict[str, str]]], responses: list[str]) -> Scores:
        calls.append(len(responses))
        scores: Scores = await plain(conversations, responses)
        return scores._replace(tokens=2 * len(responses), seconds=0.001)

    return score


def run(model: Model, method: Any, prompts: Any = PROMPTS, **options: Any) -> list[AlignedResult]:
    reward = options.pop("reward", tiny.scoring(tiny.vowels))
    settings = {"max_new_tokens": TOKENS, "seed": 4, "keep": "all"} | options
    return align(model, prompts, reward, method=method, **settings)


def slow_path(
    module: Any, tokenizer: Any, name: str, params: ARGS, sample: int
) -> tuple[list[int], float, float]:
    """One path on plain transformers, a full forward pass a token: tokens, log-ratio and KL."""
    ids = encode(tokenizer, PromptItem(prompt=TEXTS[name]))
    answer: list[int] = []
    ratio = kl = 0.0
    while len(answer) < TOKENS and (not answer or answer[-1] not in CONFIG.eos_token_id):
        logits = module(input_ids=torch.tensor([ids + answer])).logits[0, -1].double()
        log_p = logits.log_softmax(dim=-1)
        top = log_p.topk(params.k).indices.tolist()
        texts = [tokenizer.decode([*answer, token], skip_special_tokens=True) for token in top]
        s = log_p[top] + params.weight * torch.tensor(tiny.vowels([], texts)).double()
        if params.mode == "greedy":
            place = int(s.argmax())
            ratio -= float(log_p[top[place]])
            kl -= float(log_p[top[place]])
        else:
            p = (s / params.temperature).softmax(dim=-1)
            rows = rows_of(
                seed=4,
                prompt=name,
                iteration=1,
                sample=torch.tensor([sample]),
                step=torch.tensor([len(answer) + 1]),
            )
            place = int((p.cumsum(dim=-1) <= uniform_rows(rows)).sum())
            ratio += float(p[place].log() - log_p[top[place]])
            kl += float((p * (p.log() - log_p[top])).sum())
        answer.append(top[place])
    return answer, ratio, kl


@pytest.mark.parametrize("method", METHODS, ids=["greedy", "stochastic"])
def test_every_path_is_that_of_a_slow_args_on_plain_transformers(
    model: Model, module: Any, method: ARGS
) -> None:
    for result in run(model, method, baselines=[BestOfN(n=4)]):
        with torch.inference_mode():
            want = [
                slow_path(module, model.tokenizer, result.prompt_id, method, sample)
                for sample in range(method.n)
            ]
        assert [list(c.token_ids) for c in result.candidates] == [path for path, _, _ in want]
        assert result.kl.token_sampled == pytest.approx(sum(r for _, r, _ in want) / method.n)
        assert result.kl.token_exact == pytest.approx(sum(kl for *_, kl in want) / method.n)
        assert result.reward == max(c.reward for c in result.candidates)
        assert result.samples == method.n


def test_an_end_token_is_scored_as_the_finished_text_and_ends_the_path(model: Model) -> None:
    asked: list[str] = []

    def shortest(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
        asked.extend(responses)
        return [-float(abs(len(text) - 4)) for text in responses]

    everything = ARGS(k=257, weight=1000)
    for result in run(model, everything, reward=tiny.scoring(shortest)):
        (answer,) = result.candidates
        # Four letters are best, and of all that could follow only the end keeps it so.
        assert len(answer.text) == 4
        assert answer.token_ids[-1] == 0
        assert answer.finish_reason == "stop"
        assert asked.count(answer.text) >= 2  # as the last letter's text, and as the finished one


def test_every_text_that_is_scored_is_counted(model: Model) -> None:
    calls: list[int] = []
    (result,) = run(model, METHODS[1], PROMPTS[:1], reward=counting(calls))
    (row,) = result.trace.iterations
    lengths = [len(c.token_ids) for c in result.candidates]
    steps, k, n = max(lengths), METHODS[1].k, METHODS[1].n
    assert len(calls) == steps + 1
    assert calls[0] <= k  # all paths begin alike
    assert calls[-1] == n
    assert row.guided is not None
    assert row.guided.scored_partials == sum(calls[:-1]) <= k * sum(lengths)
    assert row.reward_calls == len(calls)
    assert row.reward_tokens == 2 * sum(calls)
    assert row.seconds.reward == pytest.approx(0.001 * len(calls))
    assert result.scored_partials == row.guided.scored_partials
    (other,) = run(model, AISP(n=2, iterations=1), PROMPTS[:1])
    assert other.scored_partials is None
    assert other.trace.iterations[0].guided is None


def test_without_weight_it_is_greedy_decoding(model: Model) -> None:
    got = run(model, ARGS(weight=0))
    want = run(model, Greedy())
    assert [r.candidates[0].token_ids for r in got] == [r.candidates[0].token_ids for r in want]
    assert [r.reward for r in got] == [r.reward for r in want]


@pytest.mark.parametrize("method", METHODS, ids=["greedy", "stochastic"])
def test_neither_the_batch_nor_the_rows_change_a_path(model: Model, method: ARGS) -> None:
    want = {r.prompt_id: r.candidates for r in run(model, method, baselines=[BestOfN(n=5)])}
    for prompt in PROMPTS:
        (alone,) = run(model, method, [prompt])
        assert alone.candidates == want[alone.prompt_id]
    most = model.limit.most
    try:
        model.limit.most = model.limit.rows = 2
        for few in run(model, method):
            assert few.candidates == want[few.prompt_id]
    finally:
        model.limit.most = model.limit.rows = most


def test_the_reward_need_not_share_the_tokenizer(model: Model, tmp_path: Path) -> None:
    reward = classifier(str(save_llama(tmp_path / "reward", tokenizer=letter_tokenizer())))
    results = run(model, ARGS(weight=1.5, k=8), reward=reward)
    plain = run(model, Greedy(), reward=reward)
    for result in results:
        assert result.status == "succeeded"
        user = [{"role": "user", "content": TEXTS[result.prompt_id]}]
        scores = asyncio.run(reward([user], [result.response or ""]))
        assert result.reward == pytest.approx(float(scores.rewards[0]), abs=1e-5)
    pairs = zip(results, plain, strict=True)
    assert any((a.reward or 0) > (b.reward or 0) for a, b in pairs)


def test_a_budget_ends_the_answer_where_it_stands(model: Model) -> None:
    (whole,) = run(model, METHODS[0], PROMPTS[:1])
    (cut,) = run(model, METHODS[0], PROMPTS[:1], stop=Stop(tokens=4))
    assert len(whole.candidates[0].token_ids) > 4
    assert cut.candidates[0].token_ids == whole.candidates[0].token_ids[:4]
    assert (cut.finish_reason, cut.stopped, cut.status) == ("length", "tokens", "succeeded")
    # A replay is cut there as well.
    request = JobRequest(prompts=("x",), method=METHODS[0], max_new_tokens=TOKENS, seed=4)
    again = replay_result(
        model,
        PromptItem(prompt=TEXTS["a"]),
        request,
        cut.trace,
        cut.candidates[0],
        tiny.scoring(tiny.vowels),
    )
    assert again.same


def test_a_replay_asks_the_reward_again(model: Model) -> None:
    (result,) = run(model, METHODS[1], PROMPTS[1:2])
    request = JobRequest(prompts=("x",), method=METHODS[1], max_new_tokens=TOKENS, seed=4)
    item = PromptItem(prompt=TEXTS["b"])
    for candidate in result.candidates:
        again = replay_result(
            model, item, request, result.trace, candidate, tiny.scoring(tiny.vowels)
        )
        assert again.same
        assert again.text == candidate.text
    other = tiny.scoring(lambda messages, texts: [-float(len(text)) for text in texts])
    assert not replay_result(model, item, request, result.trace, candidate, other).same
    with pytest.raises(InputError, match="needs it"):
        replay_result(model, item, request, result.trace, candidate)


def test_a_reward_of_nonsense_fails_its_prompt_alone(model: Model) -> None:
    def moody(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
        bad = conversations[0][0]["content"] == TEXTS["b"] and max(map(len, responses)) > 3
        return [math.nan] * len(responses) if bad else tiny.vowels(conversations, responses)

    from prelogit.rewards.function import from_callable

    want = run(model, METHODS[0], reward=from_callable(tiny.vowels))
    got = run(model, METHODS[0], reward=from_callable(moody))
    assert [r.status for r in got] == ["succeeded", "failed", "succeeded"]
    assert "NaN" in str(got[1].error) or "nan" in str(got[1].error)
    assert (got[0].candidates, got[2].candidates) == (want[0].candidates, want[2].candidates)


def test_a_prompt_whose_row_is_stored_ends_as_it_would_have(model: Model) -> None:
    request = JobRequest(
        prompts=(PromptItem(id="a", prompt=TEXTS["a"]),), method=METHODS[1], max_new_tokens=TOKENS
    ).filled(model="tiny")

    def search(stored: dict[int, Stored]) -> tuple[Result, list[Stored]]:
        results: list[Result] = []
        rows: list[Stored] = []

        def on_row(prompt: str, arm: int, row: Iteration, kept: tuple[Candidate, ...]) -> Any:
            rows.append(Stored((row,), kept))
            return "continue"

        calls = Callbacks(lambda *_: None, on_row, results.append)
        (item,) = request.prompts
        assert isinstance(item, PromptItem)
        job = PromptJob("a", 0, item, stored)
        asyncio.run(solve(model, [job], request, tiny.scoring(tiny.vowels), calls))
        return results[0], rows

    whole, rows = search({})
    again, none = search({0: rows[0]})
    assert none == []
    named = {"reward_model": whole.reward_model}  # of what is not asked nothing is known
    assert again.model_copy(update=named) == whole
