"""Linear layers laid out for the CPU's matrix units, once, at load.

oneDNN reorders a weight for its kernels at every call unless it is stored reordered. Stored so,
a decode step is a quarter to a half faster, and in float32 the bits of a row no longer depend
on how many rows stand beside it, which keeps a candidate's tokens the same in every batch.
The operators are private to torch, so their absence only means the ordinary layers.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prelogit.engine.spread import scattered, sharded
from prelogit.engine.suffix import rounded

# The reordered layout is chosen for about this many rows and serves any number.
_ROWS = 64
# Rows that a call has at least, and is filled up to a multiple of: fewer take another kernel,
# with other bits. In bfloat16 that is what was found for layers up to 2,048 wide.
_FLOAT32, _BFLOAT16 = (2, 1), (48, 16)


class PackedLinear(nn.Module):
    """``nn.Linear`` for inference; the weight is kept in oneDNN's own layout alone.

    Of several layers with the same input it gives all outputs side by side.
    """

    def __init__(self, *linears: nn.Linear) -> None:
        super().__init__()
        self.in_features = linears[0].in_features
        self.out_features = sum(linear.out_features for linear in linears)
        self.bias = _joined(linears)
        weight = torch.cat([linear.weight.detach() for linear in linears])
        self._packed = torch.ops.mkldnn._reorder_linear_weight(weight, _ROWS)

    def forward(self, x: Tensor) -> Tensor:
        """[.., in_features] -> [.., out_features]."""
        rows = x.numel() // self.in_features
        least, multiple = _FLOAT32 if x.dtype == torch.float32 else _BFLOAT16
        wanted = rounded(max(rows, least), multiple)
        if wanted == rows:
            return self._apply_packed(x)
        filled = _filled(x.reshape(rows, -1), wanted)
        return self._apply_packed(filled)[:rows].reshape(*x.shape[:-1], self.out_features)

    def _apply_packed(self, x: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
        return out


_kept = threading.local()
_KEPT_ROWS = 256  # a prompt's rows may be of any number, and are worth a new tensor


def _filled(x: Tensor, wanted: int) -> Tensor:
    """``x`` [rows, in_features] with rows of any content after it; good until this thread's next call.

    What is copied into is kept, because making and clearing it anew takes longer than the copy.
    """
    if wanted > _KEPT_ROWS:
        return nn.functional.pad(x, (0, 0, 0, wanted - len(x)))
    buffers: dict[tuple[int, int, torch.dtype], Tensor] = _kept.__dict__.setdefault("buffers", {})
    name = (wanted, x.shape[1], x.dtype)
    if name not in buffers:
        with torch.inference_mode(False):
            buffers[name] = torch.zeros(wanted, x.shape[1], dtype=x.dtype)
    filled = buffers[name]
    filled[: len(x)] = x
    return filled


class Whole:
    """Several layers with the same input, packed as one, and what their parts have not taken yet."""

    def __init__(self, linears: list[nn.Linear]) -> None:
        self.packed = PackedLinear(*linears)
        self._input: Tensor | None = None
        self._output: Tensor | None = None
        self._left: set[int] = set()
        self._parts = len(linears)

    def take(self, part: int, x: Tensor) -> Tensor:
        """All outputs for ``x``; the first part that asks has them computed for the others."""
        if x is not self._input or part not in self._left or self._output is None:
            self._input, self._output = x, self.packed(x)
            self._left = set(range(self._parts))
        out = self._output
        self._left.discard(part)
        if not self._left:
            self._input = self._output = None  # not kept until the next call
        return out


class Part(nn.Module):
    """One of the layers of a ``Whole``, for whoever calls them one by one."""

    def __init__(self, whole: Whole, number: int, start: int, size: int) -> None:
        super().__init__()
        self.in_features, self.out_features = whole.packed.in_features, size
        self.whole, self.number, self.start = whole, number, start
        if number == 0:
            self.packed = whole.packed  # stands once in the tree of modules

    def forward(self, x: Tensor) -> Tensor:
        """[.., in_features] -> [.., out_features]."""
        return self.whole.take(self.number, x).narrow(-1, self.start, self.out_features)


def packable(module: Any) -> bool:
    """Whether this model, on this machine, can have packed layers."""
    if scattered(module) or sharded(module):
        return False  # hooks exchange these weights, or each process holds a part
    if module.device.type != "cpu" or module.dtype not in (torch.float32, torch.bfloat16):
        return False
    try:
        packed = PackedLinear(nn.Linear(16, 8, dtype=module.dtype))
        return bool(packed(torch.zeros(3, 16, dtype=module.dtype)).shape == (3, 8))
    except (AttributeError, RuntimeError, NotImplementedError):
        return False


@torch.inference_mode()
def pack(module: Any) -> None:
    """Replace every plain linear layer below a model in place; those with one input become one."""
    done: dict[nn.Module, PackedLinear | Part] = {}
    for linears in _siblings(module):
        whole, start = Whole(list(linears)), 0
        for number, linear in enumerate(linears):
            done[linear] = Part(whole, number, start, linear.out_features)
            start += linear.out_features
    _replace(module, done)


def _siblings(module: Any) -> list[list[nn.Linear]]:
    """Linear layers that are called once a step, with the very same input: query, key and value."""
    calls: list[tuple[nn.Linear, Tensor]] = []

    def note(layer: nn.Module, given: tuple[Any, ...]) -> None:
        if type(layer) is nn.Linear and len(given) == 1:
            calls.append((layer, given[0]))

    hooks = [layer.register_forward_pre_hook(note) for layer in module.modules()]
    try:
        module.base_model(input_ids=torch.ones(1, 2, dtype=torch.long), use_cache=False)
    finally:
        for hook in hooks:
            hook.remove()
    often = Counter(layer for layer, _ in calls)
    found: dict[int, list[nn.Linear]] = {}
    for layer, given in calls:  # which holds the inputs, so their ids stay apart
        if often[layer] == 1:
            found.setdefault(id(given), []).append(layer)
    return [layers for layers in found.values() if len(layers) > 1]


def _replace(module: nn.Module, done: dict[nn.Module, PackedLinear | Part]) -> None:
    for child_name, child in list(module.named_children()):
        if type(child) is nn.Linear:
            if child not in done:
                done[child] = PackedLinear(child)
            setattr(module, child_name, done[child])
        elif not isinstance(child, PackedLinear | Part):
            _replace(child, done)


def _joined(linears: Sequence[nn.Linear]) -> Tensor | None:
    """The biases side by side, zeros for a layer without one; None where none has one."""
    if all(linear.bias is None for linear in linears):
        return None
    return torch.cat(
        [
            linear.weight.new_zeros(linear.out_features) if linear.bias is None else linear.bias
            for linear in linears
        ]
    ).detach()
