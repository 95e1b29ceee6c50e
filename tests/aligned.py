"""The tiny model that ``align`` is tried on."""

from __future__ import annotations

import pytest
from transformers import LlamaConfig

from prelogit.engine.load import Model, prepare
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
