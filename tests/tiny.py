"""Small random models with a real tokenizer: real code paths in milliseconds."""

from __future__ import annotations

import copy
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

from prelogit.core.records import ModelRef
from prelogit.rewards.protocol import Scores

TEMPLATE = (
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}"
    "{% if add_generation_prompt %}<|assistant|>{% endif %}"
)


def tokenizer() -> PreTrainedTokenizerFast:
    """One token a byte, an end token, and a chat template."""
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {"<|end|>": 0, **{char: i + 1 for i, char in enumerate(alphabet)}}
    backend = Tokenizer(models.BPE(vocab=vocabulary, merges=[]))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    backend.decoder = decoders.ByteLevel()
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        eos_token="<|end|>",
        pad_token="<|end|>",
        chat_template=TEMPLATE,
    )


def language_model(config: Any, *, seed: int = 0, sharpen: float = 6.0) -> Any:
    """A random model whose weights are large enough to make its answers differ."""
    torch.manual_seed(seed)
    model = AutoModelForCausalLM.from_config(
        copy.deepcopy(config), attn_implementation="eager"
    ).eval()
    with torch.no_grad():
        for weight in model.parameters():
            if weight.dim() > 1:
                weight.mul_(sharpen)
    return model


def vowels(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """A reward without a model: the share of vowels, and a little for variety."""
    return [
        sum(c in "aeiou" for c in text) / (1 + len(text)) + 0.01 * len(set(text))
        for text in responses
    ]


def scoring(fn: Any, *, scale: float = 1.0) -> Any:
    """A Score around a plain function."""

    async def score(conversations: list[list[dict[str, str]]], responses: list[str]) -> Scores:
        values = torch.tensor(fn(conversations, responses), dtype=torch.float64) * scale
        return Scores(values, ModelRef(name="test"), 0, 1, 0.0)

    return score
