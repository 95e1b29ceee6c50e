"""A prompt that the model cannot read: a device that breaks, or has no memory, on this one alone."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch

from prelogit.engine.load import Model

POISON = "~~~~"
PROMPTS = [
    {"id": "a", "prompt": "Why?"},
    {"id": "poison", "prompt": POISON},
    {"id": "b", "prompt": "What is a whale?"},
]


@contextmanager
def poisoned(model: Model, error: Exception) -> Iterator[None]:
    """The model raises whenever it reads the prompt of tildes.

    Not at each tilde that it reads: another prompt's samples may hold some, and which ones do is
    the processor's arithmetic to decide.
    """
    (mark,) = model.tokenizer("~", add_special_tokens=False)["input_ids"]

    def raises(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[0] == 1 and (inputs[0] == mark).sum() >= len(POISON):
            raise error

    hook = model.module.get_input_embeddings().register_forward_pre_hook(raises)
    try:
        yield
    finally:
        hook.remove()
