"""Which logits of a classifier are the reward: one of them, or a weighted sum of several."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
from torch import Tensor

from prelogit.core.errors import ModelError

Label = int | str | Mapping[str, float] | None


class Columns(NamedTuple):
    """Columns of the logits with their weights; ``total``: how many columns there are."""

    places: list[int]
    weights: list[float]
    total: int

    def of(self, logits: Tensor) -> Tensor:
        """[B, C] -> f64[B] on CPU."""
        chosen = logits[:, self.places].to("cpu", torch.float64)
        return (chosen * torch.tensor(self.weights, dtype=torch.float64)).sum(-1)

    def setting(self) -> object:
        """What of it moves a score, for the fingerprint."""
        if self.weights == [1.0]:
            return self.places[0]
        return sorted(zip(self.places, self.weights, strict=True))


def pick_columns(config: Any, label: Label) -> Columns:
    """The columns that are the reward.

    Args:   label: index, name, or ``{name or index: weight}``.
    Raises: ModelError: several labels and none chosen, or no such label; lists all.
    """
    names = {int(place): str(text) for place, text in config.id2label.items()}
    listed = ", ".join(f"{place} ({text})" for place, text in sorted(names.items()))
    if label is None:
        if len(names) == 1:
            return Columns([0], [1.0], 1)
        raise ModelError(
            f"the reward model has {len(names)} labels: set label to the one that is the reward, "
            f"one of {listed}"
        )
    if not isinstance(label, Mapping):
        return Columns([_place(names, label, listed)], [1.0], len(names))
    places = [_place(names, key, listed) for key in label]
    if not places or len(set(places)) != len(places):
        raise ModelError(f"label must name each label once, and at least one: it has {listed}")
    return Columns(places, [float(weight) for weight in label.values()], len(names))


def _place(names: Mapping[int, str], label: int | str, listed: str) -> int:
    for place, text in names.items():
        if label == text or (label == place and not isinstance(label, bool)):
            return place
    if isinstance(label, str) and label.isdecimal() and int(label) in names:
        return int(label)  # a key of JSON is always text
    near = get_close_matches(str(label), names.values(), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(f"the reward model has no label {label!r}: {hint}it has {listed}")
