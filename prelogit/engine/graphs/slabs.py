"""Keys and values in memory that stays where it is, so that a captured graph may read it.

A graph repeats its kernels on the addresses it was captured with. So all suffixes lie in one slab
a layer and all prompts in another; a step reads a corner of each, whose size is a bucket, and
masks hide what lies beyond each row's own length.

Dimensions: R rows, N prompts, M most rows of one prompt, L prompt tokens, T suffix tokens,
H key/value heads, D head width.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

Layers = Sequence[tuple[Tensor, Tensor]]


class Shape(NamedTuple):
    """The sizes a step is made for, each rounded up to a bucket."""

    rows: int  # R
    prompts: int  # N
    width: int  # M
    prefix: int  # L
    suffix: int  # T


class Slabs:
    """Two slabs a layer: suffixes [R, H, T, D] and prompts [N, H, L, D], keys and values each."""

    def __init__(self) -> None:
        self.suffix: list[tuple[Tensor, Tensor]] = []
        self.prefix: list[tuple[Tensor, Tensor]] = []

    def fit(self, like: Layers, shape: Shape) -> bool:
        """Grow to hold ``shape``; True where anything moved, and graphs captured before are void.

        Args: like: the keys and values of any prompt, [1, H, L, D] a layer.
        """
        if not self.suffix:
            self.suffix = [_none(layer) for layer in like]
            self.prefix = [_none(layer) for layer in like]
        moved = False
        for slab, rows, length in (
            (self.suffix, shape.rows, shape.suffix),
            (self.prefix, shape.prompts, shape.prefix),
        ):
            for layer, (keys, values) in enumerate(slab):
                if keys.shape[0] < rows or keys.shape[2] < length:
                    # Layer by layer, so that only one is ever held twice.
                    slab[layer] = _grown(keys, rows, length), _grown(values, rows, length)
                    moved = True
        return moved

    def holds(self, shape: Shape) -> bool:
        """Whether nothing has to grow for ``shape``."""
        return all(
            slab and slab[0][0].shape[0] >= rows and slab[0][0].shape[2] >= length
            for slab, rows, length in (
                (self.suffix, shape.rows, shape.suffix),
                (self.prefix, shape.prompts, shape.prefix),
            )
        )

    def put(self, place: int, layers: Layers) -> None:
        """Copy a prompt's keys and values [1, H, L, D] to its place."""
        for (keys, values), (key, value) in zip(self.prefix, layers, strict=True):
            keys[place, :, : key.shape[2]] = key[0]
            values[place, :, : value.shape[2]] = value[0]

    def move(self, source: list[int], target: list[int], length: int) -> None:
        """Copy the first ``length`` suffix tokens of some rows to free ones."""
        for pair in self.suffix:
            for slab in pair:
                index = torch.tensor([source, target], device=slab.device)
                slab[index[1], :, :length] = slab[index[0], :, :length]

    def corner(self, shape: Shape) -> tuple[Layers, Layers]:
        """What a step of this shape reads: suffixes and prompts, views a layer."""
        return (
            [(k[: shape.rows, :, : shape.suffix], v[: shape.rows, :, : shape.suffix]) for k, v in self.suffix],
            [(k[: shape.prompts, :, : shape.prefix], v[: shape.prompts, :, : shape.prefix]) for k, v in self.prefix],
        )  # fmt: skip

    def oversized(self, shape: Shape) -> bool:
        """Whether ``shape`` would leave half of the memory idle."""
        return any(
            keys.shape[0] * keys.shape[2] >= 2 * rows * length
            for slab, rows, length in (
                (self.suffix, shape.rows, shape.suffix),
                (self.prefix, shape.prompts, shape.prefix),
            )
            for keys, _ in slab[:1]
        )

    @property
    def nbytes(self) -> int:
        """Bytes of all slabs."""
        return sum(t.nbytes for slab in (self.suffix, self.prefix) for pair in slab for t in pair)


def _none(layer: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
    key, value = layer
    return key.new_zeros(0, key.shape[1], 0, key.shape[3]), value.new_zeros(
        0, value.shape[1], 0, value.shape[3]
    )


def _grown(slab: Tensor, rows: int, length: int) -> Tensor:
    """At least so large; zeros where nothing is, for what is masked must still be finite."""
    n, heads, t, width = slab.shape
    grown = slab.new_zeros(max(n, rows), heads, max(t, length), width)
    grown[:n, :, :t] = slab
    return grown
