"""Which row of the slabs each sample sits in, and which place each prompt has there.

Nothing here touches a device: rows and places are numbers, and what must be copied for them is
told to the caller.
"""

from __future__ import annotations

from typing import NamedTuple
from weakref import WeakKeyDictionary

from prelogit.core.buckets import PREFIX, PROMPTS, ROWS, SUFFIX, WIDTH, doubled, halfway, whole
from prelogit.engine.graphs.slabs import Shape
from prelogit.engine.prefix import Group, Prefix


class Moves(NamedTuple):
    """What has to be copied before the next step."""

    prompts: list[tuple[int, Prefix]]  # to this place
    source: list[int]  # rows that leave their seat ..
    target: list[int]  # .. for these


class Seats:
    """A sample keeps its row while it lives; the rows of those that ended are given away again."""

    def __init__(self) -> None:
        # Weak: the groups of an engine that was given up free their seats by themselves.
        self.rows: WeakKeyDictionary[Group, list[int]] = WeakKeyDictionary()
        self._prompts: list[Prefix | None] = []

    def seat(self, groups: list[Group]) -> Moves:
        """Seat the new ones among these, and close up where a smaller bucket then does."""
        new = [group for group in groups if group not in self.rows]
        if any(group.decoded for group in new):
            raise RuntimeError("the keys and values of these rows have been given back")
        alive = {id(group.prefix) for group in [*self.rows, *new]}
        self._prompts = [p if p is not None and id(p) in alive else None for p in self._prompts]
        free = self._free(sum(group.live for group in new))
        for group in new:
            self.rows[group] = [free.pop(0) for _ in range(group.live)]
        prompts = []
        for group in new:
            if all(held is not group.prefix for held in self._prompts):
                prompts.append((self._settle(group.prefix), group.prefix))
        prompts += self._close_up_prompts(len(alive))
        return Moves(prompts, *self._close_up_rows())

    def place(self, prefix: Prefix) -> int:
        """Where the keys and values of a seated group's prompt are."""
        return next(i for i, held in enumerate(self._prompts) if held is prefix)

    def keep(self, group: Group, rows: list[int]) -> None:
        """Free the seats of all other rows of a group; its last row takes the group along."""
        seats = self.rows.pop(group, None)
        if seats is not None and rows:
            self.rows[group] = [seats[row] for row in rows]

    def shape(self, groups: list[Group]) -> Shape:
        """The bucket for a step of these groups."""
        width: dict[int, int] = {}
        for group in groups:
            width[id(group.prefix)] = width.get(id(group.prefix), 0) + group.live
        everyone = list(self.rows)
        return Shape(
            halfway(1 + max(max(rows) for rows in self.rows.values()), ROWS),
            doubled(1 + max(self.place(group.prefix) for group in groups), PROMPTS),
            doubled(max(width.values()), WIDTH),
            halfway(max(len(group.prefix.token_ids) for group in everyone), PREFIX),
            min(doubled(max(group.decoded + 1 for group in everyone), SUFFIX), _room(everyone)),
        )  # fmt: skip

    def need(self, groups: list[Group]) -> Shape:
        """How large the slabs must be until all of these and the seated ones have ended."""
        everyone = list({id(group): group for group in [*self.rows, *groups]}.values())
        return Shape(
            halfway(sum(group.live for group in everyone), ROWS),
            doubled(len({id(group.prefix) for group in everyone}), PROMPTS),
            0,
            halfway(max(len(group.prefix.token_ids) for group in everyone), PREFIX),
            _room(everyone),
        )

    def _free(self, count: int) -> list[int]:
        taken = {row for rows in self.rows.values() for row in rows}
        return [row for row in range(count + len(taken)) if row not in taken][:count]

    def _settle(self, prefix: Prefix) -> int:
        """The lowest free place, taken."""
        if None not in self._prompts:
            self._prompts.append(None)
        place = self._prompts.index(None)
        self._prompts[place] = prefix
        return place

    def _close_up_rows(self) -> tuple[list[int], list[int]]:
        live = sum(len(rows) for rows in self.rows.values())
        bound = halfway(live, ROWS)
        source = [row for rows in self.rows.values() for row in rows if row >= bound]
        target = self._free(len(source))
        to = dict(zip(source, target, strict=True))
        for rows in self.rows.values():
            rows[:] = [to.get(row, row) for row in rows]
        return source, target

    def _close_up_prompts(self, live: int) -> list[tuple[int, Prefix]]:
        bound = doubled(live, PROMPTS)
        late = [held for held in self._prompts[bound:] if held is not None]
        del self._prompts[bound:]
        return [(self._settle(prefix), prefix) for prefix in late]


def _room(groups: list[Group]) -> int:
    """The longest suffix that may come of these, in whole buckets of the smallest."""
    return whole(max(group.capacity for group in groups), SUFFIX)
