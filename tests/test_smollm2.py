"""The embedded default model, for real: SmolLM2-135M-Instruct and MiniLM out of their wheels."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch.nn.functional import cross_entropy

from prelogit.align import align
from prelogit.engine.embedded import ensure
from prelogit.engine.likelihood import response_nll
from prelogit.engine.load import Model, load_model
from prelogit.rewards.load import load_reward
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, SearchId
from prelogit.text import context_length, encode, load_tokenizer
from prelogit.wire.jobs import PromptItem
from prelogit.wire.params import AISP, BestOfN

pytestmark = pytest.mark.slow

PROMPTS = {
    "a": "How do I sleep better?",
    "b": "Hi",
    "c": "Explain photosynthesis to a child, in three short sentences, and say why it matters to us.",
    "d": "List two uses of a paper clip.",
}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the model is converted to, once."""
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def model(home: Path) -> Model:
    return load_model(dtype="float32", home=home)


def test_vanishing_noise_gives_what_generate_gives_for_every_prompt_of_a_mixed_batch(
    model: Model,
) -> None:
    ids = {k: encode(model.tokenizer, PromptItem(prompt=p)) for k, p in PROMPTS.items()}
    assert len({len(v) for v in ids.values()}) == len(ids)
    engine = model.engine()
    for name, tokens in ids.items():
        control = Gaussian(torch.zeros(32, model.dim), 1e-9, NoiseKey(0, name, 1))
        engine.admit(name, tokens)
        engine.add(SearchId(name), Plan(2, control, Greedy(), 32))
    got = {}
    while engine.busy:
        got.update({search.prompt: rollouts for search, rollouts in engine.step()})
    model.module.set_attn_implementation("sdpa")
    try:
        for name, tokens in ids.items():
            prompt = torch.tensor([tokens])
            want = model.module.generate(
                prompt, attention_mask=torch.ones_like(prompt), max_new_tokens=32, do_sample=False
            )[0, len(tokens) :]
            for row, length in zip(got[name].token_ids, got[name].length.tolist(), strict=True):
                assert row[:length].tolist() == want.tolist()
    finally:
        model.module.set_attn_implementation("prelogit_shared")


def test_the_nll_of_a_response_is_the_cross_entropy_of_the_models_own_forward(
    model: Model,
) -> None:
    prompt = encode(model.tokenizer, PromptItem(prompt=PROMPTS["a"]))
    texts = ["Go to bed at the same time every night.", "Sleep the by to bed purple."]
    responses = [model.tokenizer.encode(text) for text in texts]
    found = response_nll(model, prompt, responses)
    model.module.set_attn_implementation("sdpa")
    try:
        for response, nll in zip(responses, found, strict=True):
            with torch.inference_mode():
                logits = model.module(input_ids=torch.tensor([prompt + response])).logits[0]
            want = cross_entropy(logits[len(prompt) - 1 : -1], torch.tensor(response))
            assert nll == pytest.approx(float(want), rel=1e-4)
    finally:
        model.module.set_attn_implementation("prelogit_shared")
    assert found[0] < found[1]  # type: ignore[operator]


def test_the_gateway_counts_the_tokens_that_the_worker_decodes_from(
    model: Model, home: Path
) -> None:
    assert ensure(home=home).is_relative_to(home)
    light = load_tokenizer("smollm2-135m", home=home)
    for prompt in PROMPTS.values():
        item = PromptItem(prompt=prompt)
        assert encode(light, item) == encode(model.tokenizer, item)
        assert encode(light, item, "none") == encode(model.tokenizer, item, "none")
    assert context_length("smollm2-135m", home=home) == model.context == 8192


def test_a_search_by_relevance_raises_the_reward(model: Model) -> None:
    (result,) = align(
        model,
        [PROMPTS["d"]],
        load_reward("relevance"),
        method=AISP(n=8, iterations=3),
        baselines=[BestOfN(n=8), BestOfN(n=8, noise="gaussian")],
        max_new_tokens=16,
    )
    assert result.status == "succeeded"
    assert result.reward is not None
    assert result.reward >= result.trace.iterations[0].best
    assert all(b.reward is not None and -10 <= b.reward <= 10 for b in result.baselines)
