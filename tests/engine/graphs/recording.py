"""What a CUDA graph does and forbids, on any machine.

``Recorder`` notes every operator that a function runs, with the tensors it ran on. A replay runs the
same operators on the same memory: numbers that Python worked out meanwhile are stale, exactly
as in a captured graph. ``CaptureRules`` refuses what a stream that is being captured refuses.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_iter

aten = torch.ops.aten
# Operators whose result, or its shape, the host must wait for.
WAITING = {
    aten._local_scalar_dense.default,
    aten.nonzero.default,
    aten.masked_select.default,
    aten.equal.default,
    aten.is_nonzero.default,
    aten.repeat_interleave.Tensor,
    aten._unique2.default,
    aten.unique_consecutive.default,
    aten.bincount.default,
}


class CaptureError(RuntimeError):
    """The operator would break a capture."""


def _tensors(tree: Any) -> list[Tensor]:
    return [leaf for leaf in tree_iter(tree) if isinstance(leaf, Tensor)]


class CaptureRules(TorchDispatchMode):
    """Refuses to wait for the device, and to copy between it and the host."""

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        if func in WAITING:
            raise CaptureError(str(func))
        if func in (aten.index.Tensor, aten.index_put_.default, aten.index_put.default) and any(
            index.dtype in (torch.bool, torch.uint8) for index in _tensors(args[1])
        ):
            raise CaptureError(f"{func} by a mask")
        places = {t.device for t in _tensors((args, kwargs))}
        if places and kwargs.get("device") is not None:
            places.add(torch.device(kwargs["device"]))
        if len(places) > 1:
            raise CaptureError(f"{func} between devices")
        return func(*args, **kwargs)


class Recorder(CaptureRules):
    """The operators that ran while it was active."""

    def __init__(self) -> None:
        super().__init__()
        self.tape: list[tuple[Any, Any, Any, list[Tensor]]] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        out = super().__torch_dispatch__(func, types, args, kwargs)
        self.tape.append((func, args, kwargs or {}, _tensors(out)))
        return out

    def replay(self) -> None:
        """Every operator again; what it makes anew lands where it landed before."""
        for func, args, kwargs, before in self.tape:
            for old, new in zip(before, _tensors(func(*args, **kwargs)), strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def record(run: Callable[[], None]) -> Callable[[], None]:
    """A ``Capture`` that needs no GPU."""
    run()
    recorder = Recorder()
    with recorder:
        run()
    return recorder.replay
