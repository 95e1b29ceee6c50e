"""A worker that one prompt kills, as a driver's fault or the kernel would: ``python -m tests.workers.deadly``."""

from __future__ import annotations

import os
import signal
import sys
from typing import Any

import torch

from prelogit.engine.load import Model, load_model
from tests.workers.poison import POISON
from workers import __main__ as worker


def deadly_model(*names: Any, **options: Any) -> Model:
    """The model; reading the prompt of tildes is the end of the process, without a word."""
    model = load_model(*names, **options)
    (mark,) = model.tokenizer("~", add_special_tokens=False)["input_ids"]

    def dies(module: Any, inputs: tuple[torch.Tensor, ...]) -> None:
        if inputs[0].shape[0] == 1 and (inputs[0] == mark).sum() >= len(POISON):
            os.kill(os.getpid(), signal.SIGKILL)

    model.module.get_input_embeddings().register_forward_pre_hook(dies)
    return model


if __name__ == "__main__":
    worker.load_model = deadly_model  # type: ignore[attr-defined]
    sys.exit(worker.main())
