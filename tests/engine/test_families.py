"""Every family decodes as its own generate does, with shared prompts and with plain ones."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prelogit.engine.load import Model, prepare
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, Rollouts, SearchId
from tests import tiny

# Shorter and longer than the sliding windows of the small configurations, which are 12.
PROMPTS = {
    "short": [5, 9, 17],
    "middle": list(range(40, 51)),
    "long": [3 + (7 * i) % 250 for i in range(37)],
}


def decode(model: Model, plans: dict[str, Plan]) -> dict[str, Rollouts]:
    engine, out = model.engine(), {}
    for name, plan in plans.items():
        engine.admit(name, PROMPTS[name])
        engine.add(SearchId(name), plan)
    while engine.busy:
        out.update({search.prompt: rollouts for search, rollouts in engine.step()})
    return out


def own_greedy(module: Any, ids: list[int], tokens: int) -> list[int]:
    """The model's own greedy answer by transformers' generate, with its own attention."""
    mine = module.config._attn_implementation
    module.set_attn_implementation("eager")
    prompt = torch.tensor([ids])
    with torch.inference_mode():
        out = module.generate(
            prompt,
            attention_mask=torch.ones_like(prompt),
            max_new_tokens=tokens,
            do_sample=False,
            pad_token_id=0,
        )
    module.set_attn_implementation(mine)
    return list(out[0, len(ids) :].tolist())


@pytest.mark.parametrize("attention", ["shared", "eager"])
def test_noiseless_decoding_is_the_models_own_greedy_answer(family: Any, attention: Any) -> None:
    model = prepare("tiny", tiny.language_model(family), tiny.tokenizer(), attention=attention)
    assert model.attention == attention
    got = decode(model, {name: Plan(2, None, Greedy(), 24) for name in PROMPTS})
    for name, ids in PROMPTS.items():
        want = own_greedy(model.module, ids, 24)
        for row, length in zip(
            got[name].token_ids.tolist(), got[name].length.tolist(), strict=True
        ):
            assert row[:length] == want
            assert set(row[length:]) <= {-1}


def test_steered_tokens_agree_with_a_full_forward_at_every_step(family: Any) -> None:
    """Tokens under noise, checked position by position with the whole model and its own tail."""
    module = tiny.language_model(family)
    model = prepare("tiny", module, tiny.tokenizer())
    key = NoiseKey(3, "long", 1)
    torch.manual_seed(1)
    mean = 0.3 * torch.randn(20, model.dim)
    rollouts = decode(model, {"long": Plan(4, Gaussian(mean, 0.7, key), Greedy(), 20)})["long"]
    output = module.get_output_embeddings()
    module.set_attn_implementation("eager")
    from prelogit.noise import standard_normal

    for sample, (row, length) in enumerate(
        zip(rollouts.token_ids.tolist(), rollouts.length.tolist(), strict=True)
    ):
        for step in range(1, length + 1):
            eps = standard_normal(
                seed=3, prompt="long", iteration=1, sample=sample, step=step, dim=model.dim
            )
            v = mean[step - 1] + 0.7 * eps

            def steer(
                _: Any, args: tuple[torch.Tensor], v: torch.Tensor = v
            ) -> tuple[torch.Tensor]:
                return (args[0] + v,)

            hook = output.register_forward_pre_hook(steer)
            with torch.inference_mode():
                logits = module(input_ids=torch.tensor([PROMPTS["long"] + row[: step - 1]])).logits[
                    0, -1
                ]
            hook.remove()
            chosen, best = logits[row[step - 1]], logits.max()
            assert best - chosen <= 1e-4 * logits.abs().max(), (sample, step)


def test_rows_do_not_see_each_other(family: Any) -> None:
    model = prepare("tiny", tiny.language_model(family), tiny.tokenizer())
    plans = {
        name: Plan(5, Gaussian(torch.zeros(16, model.dim), 0.8, NoiseKey(0, name, 1)), Greedy(), 16)
        for name in PROMPTS
    }
    together = decode(model, plans)
    for name, plan in plans.items():
        alone = decode(model, {name: plan})[name]
        assert torch.equal(alone.token_ids, together[name].token_ids)
        assert torch.equal(alone.u_dot_noise, together[name].u_dot_noise)
