"""The keys and values that each live row has decoded itself, all rows of a layer in one tensor.

A row keeps its slot while it lives. The slots of rows that have ended, or whose group nobody
holds any more, are filled from the end before the next step, so the slots in use stand together.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from prelogit.engine.prefix import Group

# Lengths are rounded up to this many tokens. The fused attention adds up in vectors of 16, so a
# row's sums do not depend on how many more of them a longer neighbour asks for.
TOKENS = 16
_ROWS = 16


def rounded(count: int, to: int) -> int:
    """``count``, up to the next multiple."""
    return -(-count // to) * to


class Suffixes:
    """Slots for the rows of all live groups; R of them in use, room for T tokens each."""

    def __init__(self) -> None:
        self._slots: WeakKeyDictionary[Group, list[int]] = WeakKeyDictionary()
        self._layers: dict[int, tuple[Tensor, Tensor]] = {}  # keys, values [rows, H, T, D]
        self._rows = self._tokens = 0  # what there is room for

    @property
    def used(self) -> int:
        """How many slots are in use after ``seat``."""
        return sum(map(len, self._slots.values()))

    @property
    def nbytes(self) -> int:
        """Bytes of all layers, used or not."""
        return sum(one.nbytes for pair in self._layers.values() for one in pair)

    def slots(self, group: Group) -> list[int]:
        """The slot of each live row of a seated group."""
        return self._slots[group]

    def seat(self, groups: list[Group]) -> None:
        """A slot for every row, room for the tokens that each may come to, and no holes."""
        taken = sorted(slot for slots in self._slots.values() for slot in slots)
        new = [group for group in groups if group not in self._slots]
        if not taken and self._tokens > 2 * max(group.capacity for group in groups):
            self.clear()
        self._close_up(taken)
        first = len(taken)
        for group in new:
            self._slots[group] = list(range(first, first + group.live))
            first += group.live
        longest = max(group.capacity for group in groups)
        if first > self._rows or longest > self._tokens:
            self._grow(len(taken), max(first, self._rows), max(longest, self._tokens))

    def keep(self, group: Group, rows: list[int]) -> None:
        """Free the slots of all other rows of a group."""
        slots = self._slots.pop(group, None)
        if slots is not None and rows:
            self._slots[group] = [slots[row] for row in rows]

    def clear(self) -> None:
        """Give all memory back; for when no group is live."""
        self._slots.clear()
        self._layers.clear()
        self._rows = self._tokens = 0

    def write(
        self, layer: int, slot: Tensor | slice, place: Tensor | int, key: Tensor, value: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store one token a row: key and value [R, H, D].

        Args:    slot, place: i64[R]; or a slice and a number, where the slots follow each other
                 and the places are the same, which is quicker.
        Returns: the layer's keys and values [rows, H, T, D].
        """
        if layer not in self._layers:
            # Zeros, so that what is masked is finite; pages that nothing is written to cost nothing.
            self._layers[layer] = (
                key.new_zeros(self._rows, key.shape[1], self._tokens, key.shape[2]),
                value.new_zeros(self._rows, value.shape[1], self._tokens, value.shape[2]),
            )
        keys, values = self._layers[layer]
        if isinstance(slot, Tensor) and isinstance(place, Tensor):
            slot, place = slot.to(keys.device), place.to(keys.device)
        keys[slot, :, place] = key
        values[slot, :, place] = value
        return keys, values

    def _close_up(self, taken: list[int]) -> None:
        """Move the last rows into the holes."""
        used = len(taken)
        held = set(taken)
        holes = [slot for slot in range(used) if slot not in held]
        if not holes:
            return
        move = dict(zip(taken[used - len(holes) :], holes, strict=True))
        length = 0
        for group, slots in self._slots.items():
            if any(slot in move for slot in slots):
                length = max(length, group.decoded)
                self._slots[group] = [move.get(slot, slot) for slot in slots]
        for pair in self._layers.values():
            source = torch.tensor(list(move), device=pair[0].device)
            target = torch.tensor(holes, device=pair[0].device)
            for one in pair:
                one[target, :, :length] = one[source, :, :length]

    def _grow(self, used: int, rows: int, tokens: int) -> None:
        self._rows, self._tokens = rounded(rows, _ROWS), rounded(tokens, TOKENS)
        for layer, pair in self._layers.items():
            grown = [
                one.new_zeros(self._rows, one.shape[1], self._tokens, one.shape[3]) for one in pair
            ]
            for old, one in zip(pair, grown, strict=True):
                one[:used, :, : old.shape[2]] = old[:used]
            self._layers[layer] = (grown[0], grown[1])
