"""The searches that share one budget of rounds, as the driver sees them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from prelogit.core.records import Iteration
from prelogit.search.budget import Standing, allowances
from prelogit.search.share import Share
from prelogit.search.stop import why_stop
from prelogit.wire.jobs import Stop

Halt = Literal["cancelled", "abandoned"]


class Pool:
    """Who waits for the others of its pool, and what each may have.

    A prompt waits once it has had its rounds of the wave under way; when nobody runs any more, the
    next wave begins. ``spent``: there is none. ``halt``: nor may there be one, as the job is
    cancelled or the prompts are another worker's; who waits ends likewise.
    """

    def __init__(self, share: Share, stop: Stop) -> None:
        self._share, self._stop = share, stop
        self._rows: dict[str, Sequence[Iteration]] = dict(share.ended)
        self._over = set(share.ended)
        self._allowed: dict[str, int] = {}
        self.waiting: list[str] = []
        self.spent = False
        self.halt: Halt | None = None

    def enter(self, prompt: str, rows: Sequence[Iteration]) -> None:
        """A prompt takes part; ``rows`` is seen to grow."""
        self._rows[prompt] = rows

    def waits(self, prompt: str) -> bool:
        """Whether a prompt that would go on has to wait now; if so it does."""
        if not self._allowed:
            self._decide()
        if len(self._rows[prompt]) < self._allowed[prompt]:
            return False
        self.waiting.append(prompt)
        return True

    def leave(self, prompt: str) -> None:
        """A prompt's search has ended."""
        self._over.add(prompt)
        if prompt in self.waiting:
            self.waiting.remove(prompt)

    def turn(self) -> list[str]:
        """Begin the next wave, or spend the budget: the prompts that wait no more."""
        if not self.waiting:
            return []
        self._decide()
        on = [one for one in self.waiting if len(self._rows[one]) < self._allowed[one]]
        self.spent = not on
        on = on or self.waiting
        self.waiting = [one for one in self.waiting if one not in on]
        return on

    def _decide(self) -> None:
        order = sorted(self._rows, key=lambda prompt: self._share.places[prompt])
        standings = [
            Standing(rows, self._reach(rows), over=prompt in self._over)
            for prompt in order
            for rows in [self._rows[prompt]]
        ]
        self._allowed = dict(zip(order, allowances(standings, self._share.rounds), strict=True))

    def _reach(self, rows: Sequence[Iteration]) -> int:
        """Rounds after which the method, or a limit of the prompt's own, ends the search."""
        for k in range(1, len(rows) + 1):
            if why_stop(self._stop, rows[:k], self._share.samples) is not None:
                return k
        return self._share.most
