from __future__ import annotations

from typing import Any

import pytest
from transformers import (
    CohereConfig,
    Gemma2Config,
    Gemma3TextConfig,
    GPT2Config,
    GraniteConfig,
    LlamaConfig,
    MistralConfig,
    PhiConfig,
    Qwen3Config,
)

SIZES: dict[str, Any] = {
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 8,
    "num_key_value_heads": 2,
    "head_dim": 16,
    "vocab_size": 257,
    "max_position_embeddings": 256,
    "pad_token_id": 0,
    "bos_token_id": None,
    "eos_token_id": 0,
}
SHORT = {"sliding_window": 12}

FAMILIES: dict[str, Any] = {
    "llama": LlamaConfig(**SIZES),
    "qwen3": Qwen3Config(**SIZES),
    "qwen3-sliding": Qwen3Config(**SIZES, **SHORT, use_sliding_window=True, max_window_layers=2),
    "mistral-sliding": MistralConfig(**SIZES, **SHORT),
    "gemma2-softcaps": Gemma2Config(
        **SIZES,
        **SHORT,
        query_pre_attn_scalar=16,
        final_logit_softcapping=5.0,
        attn_logit_softcapping=2.0,
    ),
    "gemma3-sliding": Gemma3TextConfig(
        **SIZES,
        **SHORT,
        layer_types=[
            "sliding_attention",
            "sliding_attention",
            "full_attention",
            "sliding_attention",
        ],
        query_pre_attn_scalar=16,
        final_logit_softcapping=5.0,
    ),
    "cohere-scale": CohereConfig(
        **{k: v for k, v in SIZES.items() if k != "head_dim"}, logit_scale=0.25
    ),
    "granite-scale": GraniteConfig(
        **{k: v for k, v in SIZES.items() if k != "head_dim"}, logits_scaling=8.0
    ),
    "phi-bias": PhiConfig(
        **{k: v for k, v in SIZES.items() if k not in ("head_dim", "num_key_value_heads")}
    ),
    "gpt2": GPT2Config(
        vocab_size=257,
        n_embd=64,
        n_layer=3,
        n_head=4,
        n_positions=256,
        bos_token_id=0,
        eos_token_id=0,
    ),
}


@pytest.fixture(params=sorted(FAMILIES))
def family(request: pytest.FixtureRequest) -> Any:
    return FAMILIES[request.param]
