"""Every weight of a model as a whole, wherever its parts lie."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

from torch import Tensor


def whole_weights(module: Any, *, only: str | None = None) -> Iterator[tuple[str, Tensor]]:
    """Name and value of each entry of the state dictionary, in the order of the names.

    A weight that accelerate keeps on the disk or in another memory is fetched, one that is
    sharded among processes is gathered: all of them must then walk through this together.
    One weight at a time is held. ``only``: the entry of this name, and no other.
    """
    for name, weight in sorted(module.state_dict().items()):
        if only not in (None, name):
            continue
        owner, _, leaf = name.rpartition(".")
        with _fetched(module.get_submodule(owner)) if weight.is_meta else nullcontext():
            found = getattr(module.get_submodule(owner), leaf) if weight.is_meta else weight
            yield name, (found.full_tensor() if hasattr(found, "full_tensor") else found).detach()


def _fetched(owner: Any) -> Any:
    from accelerate.utils import align_module_device  # type: ignore[import-untyped]

    return align_module_device(owner)


def fingerprint_of(module: Any) -> str:
    """16 hex digits over class, dtype and a sample of every weight: where it lies is no part of it."""
    digest = hashlib.sha256(f"{type(module).__name__} {module.dtype}".encode())
    for name, weight in whole_weights(module):
        flat = weight.flatten()
        sample = flat[:: max(1, len(flat) // 64)][:64].float().cpu().numpy().tobytes()
        digest.update(f"{name} {tuple(weight.shape)}".encode() + sample)
    return digest.hexdigest()[:16]
