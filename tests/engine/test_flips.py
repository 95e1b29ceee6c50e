from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from transformers import LlamaConfig
from transformers.models.phi import PhiConfig

from prelogit.core.errors import ModelError
from prelogit.engine.flips import SHARE, _answers, _thresholds, first_flips, variance_at
from prelogit.engine.load import prepare
from tests import tiny
from tests.aligned import CONFIG


@given(st.integers(0, 10_000), st.floats(0.05, 3))
def test_a_token_changes_where_the_noise_is_past_its_threshold(seed: int, sigma: float) -> None:
    torch.manual_seed(seed)
    weight, z, eps = torch.randn(9, 4).double(), torch.randn(4).double(), torch.randn(4).double()
    logits, lifted = weight @ z, weight @ eps
    top = int(logits.argmax())
    behind, risen = (logits[top] - logits)[None], (lifted - lifted[top])[None]
    flips = [
        float(first_flips(behind[:, part], risen[:, part], torch.tensor([top]), part.start))
        for part in (slice(0, 5), slice(5, 9))
    ]
    if abs(min(flips) - sigma) > 1e-9:
        changed = int((weight @ (z + sigma * eps)).argmax()) != top
        assert changed == (sigma > min(flips))


@given(
    st.lists(st.floats(0.01, 100, allow_subnormal=False), min_size=1, max_size=50),
    st.floats(0.01, 1),
)
def test_that_share_of_draws_changes_the_token(values: list[float], share: float) -> None:
    sigma = math.sqrt(variance_at(share, torch.tensor(values).double()))
    low = sum(value <= sigma * 0.97 for value in values)  # two digits are kept of sigma2
    high = sum(value <= sigma * 1.03 for value in values)
    assert low < share * len(values) + 1e-9 or low == 1
    assert high >= share * len(values) - 1e-9


@pytest.mark.parametrize("thresholds", [[0.0, 0.0, 1.0], [1.0, math.inf, math.inf]])
def test_a_model_whose_tokens_change_always_or_never_has_no_such_variance(
    thresholds: list[float],
) -> None:
    with pytest.raises(ModelError, match="give a number"):
        variance_at(0.5, torch.tensor(thresholds))


@pytest.mark.parametrize(
    "config", [CONFIG, PhiConfig(**CONFIG.to_diff_dict(), bias=True)], ids=["llama", "phi"]
)
def test_the_models_own_head_changes_as_many_tokens(config: LlamaConfig | PhiConfig) -> None:
    module = tiny.language_model(config)
    output = module.get_output_embeddings()
    if output.bias is not None:
        torch.nn.init.normal_(output.bias, std=2.0)
    model = prepare("tiny", module, tiny.tokenizer(), context=160)
    sigma2 = model.sigma2
    assert model.sigma2 is model.__dict__["sigma2"], "measured once"
    z = _answers(model.engine(), model.tokenizer, model.context)
    with torch.inference_mode():
        plain = model.head.logits(z).argmax(dim=-1)
        torch.manual_seed(0)
        changed = [
            (model.head.logits(z, sigma2**0.5 * torch.randn_like(z)).argmax(-1) != plain)
            for _ in range(20)
        ]
    assert float(torch.stack(changed).double().mean()) == pytest.approx(SHARE, abs=0.05)


def test_noise_of_twice_the_width_changes_prelogits_of_twice_the_length() -> None:
    model = prepare("tiny", tiny.language_model(CONFIG), tiny.tokenizer(), context=160)
    z = _answers(model.engine(), model.tokenizer, model.context)
    one = _thresholds(model.head, z)
    assert torch.allclose(_thresholds(model.head, 2 * z), 2 * one, rtol=1e-4)


def test_a_short_context_is_enough() -> None:
    model = prepare("tiny", tiny.language_model(CONFIG), tiny.tokenizer(), context=12)
    assert model.sigma2 > 0
