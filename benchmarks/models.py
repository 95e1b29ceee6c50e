"""The models that benchmarks run: ours, and an untouched copy for the peers.

Ours packs linear layers and switches attention in place, so peers never share a module with it.
``llama-8b-random`` is the architecture of Llama 3 8B with random weights, made on the device.
"""

from __future__ import annotations

import argparse
import dataclasses
import warnings
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig
from transformers.utils import logging

from prelogit.engine.embedded import ensure
from prelogit.engine.load import Model, load_model, prepare
from prelogit.text import EMBEDDED, model_folder

LLAMA = "llama-8b-random"
_LLAMA_CONFIG = LlamaConfig(
    hidden_size=4096,
    intermediate_size=14336,
    num_hidden_layers=32,
    num_attention_heads=32,
    num_key_value_heads=8,
    vocab_size=128256,
    max_position_embeddings=8192,
    rope_parameters={"rope_type": "default", "rope_theta": 500000.0},
    tie_word_embeddings=False,
    pad_token_id=0,
    eos_token_id=None,
)
DTYPES = {"fp32": "float32", "bf16": "bfloat16"}


class _Numbers:
    """Stands where a random model has no tokenizer: its text is the token ids."""

    eos_token_id = None
    chat_template = None

    def decode(self, token_ids: list[int], **_: Any) -> str:
        return " ".join(map(str, token_ids))

    def __call__(self, text: str, **_: Any) -> dict[str, list[int]]:
        return {"input_ids": list(text.encode())}


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options that all programs share."""
    parser.add_argument("--model", default=EMBEDDED, help=f"alias, folder, hub id, or {LLAMA}")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--threads", type=int, default=1, help="of torch, here and in every peer")


def set_threads(count: int) -> None:
    """Torch's threads in this process."""
    torch.set_num_threads(count)


def ours(name: str, dtype: str, device: str = "auto", *, rows: int = 128) -> Model:
    """Loaded as a user would."""
    if name == LLAMA:
        return prepare(name, _random_llama(dtype), _Numbers(), max_rows=rows, context=8192)
    return load_model(name, dtype=DTYPES[dtype], device=device, max_rows=rows)


def endless(model: Model) -> Model:
    """The same model without end tokens: every sample decodes as many tokens as it may."""
    return dataclasses.replace(model, ends=frozenset())


def plain(name: str, dtype: str, device: str = "auto") -> Any:
    """An untouched transformers model with SDPA attention and without end tokens."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    if name == LLAMA:
        module = _random_llama(dtype)
    else:
        if name == EMBEDDED:
            ensure(name)
        kind = getattr(torch, DTYPES[dtype])
        module = AutoModelForCausalLM.from_pretrained(
            model_folder(name), dtype=kind, attn_implementation="sdpa"
        )
    if device == "auto":
        device = "cuda" if torch.cuda.is_available() else "cpu"
    module = module.to(device).eval()
    module.generation_config.eos_token_id = None
    module.config.get_text_config().eos_token_id = None
    module.generation_config.pad_token_id = 0
    return module


def _random_llama(dtype: str) -> Any:
    if not torch.cuda.is_available():
        raise SystemExit(f"{LLAMA} is made on a CUDA device, and there is none")
    torch.manual_seed(0)
    with torch.device("cuda"), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made: Any = AutoModelForCausalLM
        return made.from_config(
            _LLAMA_CONFIG, dtype=getattr(torch, DTYPES[dtype]), attn_implementation="sdpa"
        ).eval()


def prompt_ids(vocabulary: int, length: int, seed: int = 0) -> list[int]:
    """Random tokens: with end tokens off, time depends on their number alone."""
    generator = torch.Generator().manual_seed(seed)
    low = min(300, vocabulary // 2)  # above most special tokens
    return [int(token) for token in torch.randint(low, vocabulary, (length,), generator=generator)]
