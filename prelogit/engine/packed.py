"""Linear layers laid out for the CPU's matrix units, once, at load.

oneDNN reorders a weight for its kernels at every call unless it is stored reordered. Stored so,
a decode step is a quarter to a half faster, and in float32 the bits of a row no longer depend
on how many rows stand beside it, which keeps a candidate's tokens the same in every batch.
The operators are private to torch, so their absence only means the ordinary layers.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from prelogit.engine.spread import scattered, sharded

# The reordered layout is chosen for about this many rows and serves any number.
_ROWS = 64


class PackedLinear(nn.Module):
    """``nn.Linear`` for inference; the weight is kept in oneDNN's own layout alone."""

    def __init__(self, linear: nn.Linear) -> None:
        super().__init__()
        self.in_features, self.out_features = linear.in_features, linear.out_features
        self.bias = linear.bias
        self._packed = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), _ROWS)

    def forward(self, x: Tensor) -> Tensor:
        """[.., in_features] -> [.., out_features]."""
        if x.numel() == self.in_features:
            # One row alone takes another kernel with other bits; two rows do not.
            pair = x.reshape(1, -1).expand(2, -1).contiguous()
            return self._apply_packed(pair)[:1].reshape(*x.shape[:-1], self.out_features)
        return self._apply_packed(x)

    def _apply_packed(self, x: Tensor) -> Tensor:
        out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self._packed, self.bias, "none", [], "")
        return out


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
def pack(module: nn.Module) -> None:
    """Replace every plain linear layer below ``module`` in place."""
    for child_name, child in list(module.named_children()):
        if type(child) is nn.Linear:
            setattr(module, child_name, PackedLinear(child))
        else:
            pack(child)
