"""Reward models with heads of their own: a class of transformers that gives one number a row."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from prelogit.core.errors import ModelError
from prelogit.core.trust import UNTRUSTED, Trust
from prelogit.rewards.hosted.checkpoint import Dtype, load_checkpoint, shown
from prelogit.rewards.hosted.forward import Reader
from prelogit.rewards.hosted.importing import import_attribute
from prelogit.rewards.hosted.reader import host_reader, refuse_missing_weights, writing
from prelogit.rewards.hosted.reward import HostedReward
from prelogit.rewards.hosted.truncation import Truncation

OWN = {
    name: f"prelogit.rewards.hosted.regression:{attribute}"
    for name, attribute in (("ultrarm", "UltraRM"), ("eurus", "EurusRM"))
}
"""Heads that need no class path."""

FIELDS = ("logits", "rewards", "scores", "score")


def load_head(
    name: str,
    *,
    model: str,
    head: str,
    device: str = "auto",
    dtype: Dtype = "auto",
    max_tokens: int | None = None,
    truncation: Truncation = "left",
    chat_template: str | None = None,
    description: str | None = None,
    trust: Trust = UNTRUSTED,
) -> HostedReward:
    """A reward from a checkpoint and the class that reads it.

    Args:   model: a folder or hub id. head: ``ultrarm``, ``eurus``, or ``module:Class``, a
            PreTrainedModel whose forward(input_ids, attention_mask) gives one number a row.
            max_tokens: most tokens of an item, None for the model's own limit.
            truncation: what becomes of a longer one.
            chat_template: Jinja text in place of the class's (``chat_template``) or tokenizer's.
            trust: what the model's files may do.
    Raises: ModelError: no such class, it cannot be loaded, weights are not in the checkpoint,
            or its scores change with the batch.
    """
    kind = import_head(head)
    loaded = load_checkpoint(kind, model, device=device, dtype=dtype, trust=trust)
    cure = f"name a checkpoint that was saved by the class {head}, or its class"
    refuse_missing_weights(loaded, model, cure)
    template = chat_template or getattr(kind, "chat_template", None)
    if template is not None:
        loaded.tokenizer.chat_template = template
    return host_reader(
        Reader(loaded.model, loaded.device, read_number),
        writing(loaded, model, max_tokens=max_tokens, truncation=truncation),
        loaded,
        name=name,
        kind="head",
        model=model,
        description=description or f"the reward of {shown(model)} by the head {head}",
        settings={"head": OWN.get(head, head)},
    )


def import_head(head: str) -> Any:
    """The class of a head.

    Raises: ModelError: there is none, or it is no model of transformers.
    """
    from transformers import PreTrainedModel

    found, module, attribute = import_attribute(
        OWN.get(head, head), f"{', '.join(OWN)} or module:Class"
    )
    if not (isinstance(found, type) and issubclass(found, PreTrainedModel)):
        raise ModelError(
            f"the head {head!r} is no model of transformers: name a class of the module {module!r} "
            f"that is a PreTrainedModel, not {attribute!r}"
        )
    return found


def read_number(answer: Any) -> Tensor:
    """f64[B] on CPU, of whatever a forward gives: [B] or [B, 1], bare, in a tuple or a field.

    Raises: ModelError: there are no numbers in it.
    """
    found = answer
    if not isinstance(found, Tensor):
        held = (getattr(answer, field, None) for field in FIELDS)
        first = answer[0] if isinstance(answer, tuple) and answer else None
        found = next((each for each in held if isinstance(each, Tensor)), first)
    if not isinstance(found, Tensor):
        raise ModelError(
            f"the reward model's forward gives {type(answer).__name__}, not numbers: it must give a "
            f"tensor, or one in {', '.join(FIELDS)}"
        )
    if found.ndim == 2 and found.shape[1] == 1:
        found = found[:, 0]
    return found.to("cpu", torch.float64)
