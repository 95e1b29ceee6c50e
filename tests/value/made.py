"""A value's header with all that it needs."""

from __future__ import annotations

from typing import Any

from prelogit.core.records import ModelRef
from prelogit.value.header import Epoch, ValueHeader

MODEL = ModelRef(name="tiny", fingerprint="abc")


def header(**changes: Any) -> ValueHeader:
    """Of a network for pre-logits of width 6, with these fields changed."""
    fields: dict[str, Any] = {
        "model": MODEL,
        "reward": ModelRef(name="r"),
        "dim": 6,
        "width": 8,
        "mean": 2.0,
        "std": 0.5,
        "states": "s",
        "fitting": {"seed": 0},
        "prompts": 4,
        "responses": 32,
        "epoch": 1,
        "curve": (Epoch(loss=1.0, held_out=0.9),),
    }
    return ValueHeader(**{**fields, **changes})
