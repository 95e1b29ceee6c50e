"""A reward's fingerprint: two rewards of one fingerprint score alike, whatever they are called."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from prelogit.rewards.hosted.checkpoint import checkpoint_file

WHOLE = 65_536
SAMPLED = 4_096


def fingerprint(name: str, model: Any, tokenizer: Any, settings: Mapping[str, object]) -> str:
    """sha256 over configuration, tokenizer, settings and the weights.

    Weights up to 65,536 numbers are read whole, of larger ones 4,096 numbers spread evenly:
    enough to tell two trainings apart, in milliseconds.
    Args:    name: folder or hub id, for its files; the name itself does not enter.
             settings: whatever else moves a score.
    Returns: 64 hexadecimal digits.
    """
    digest = hashlib.sha256()
    for file in ("config.json", "tokenizer.json"):
        found = checkpoint_file(name, file)
        digest.update(found.read_bytes() if found is not None else b"-")
    chosen = {"settings": dict(settings), "template": tokenizer.chat_template}
    digest.update(json.dumps(chosen, sort_keys=True, default=str).encode())
    for key, tensor in sorted(model.state_dict().items()):
        digest.update(f"{key} {tuple(tensor.shape)} {tensor.dtype}".encode())
        digest.update(_sample(tensor))
    return digest.hexdigest()


def _sample(tensor: Tensor) -> bytes:
    flat = tensor.detach().reshape(-1)
    if flat.numel() > WHOLE:
        # Integers, because a float32 linspace cannot name the places of a large table.
        places = torch.arange(SAMPLED, device=flat.device) * (flat.numel() - 1) // (SAMPLED - 1)
        flat = flat[places]
    return flat.cpu().contiguous().view(torch.uint8).numpy().tobytes()
