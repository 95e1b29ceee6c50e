"""Whether raw numbers look as if an activation had been applied to them."""

from __future__ import annotations

from collections.abc import Sequence

ENOUGH = 32


class Range:
    """What the rewards so far lie between."""

    def __init__(self) -> None:
        self._seen = 0
        self._inside = True
        self._different: set[float] = set()
        self._told = False

    def looks_bounded(self, rewards: Sequence[float]) -> bool:
        """True once: enough rewards, not all the same, and none of them outside of 0 to 1."""
        self._seen += len(rewards)
        self._inside = self._inside and all(0 <= reward <= 1 for reward in rewards)
        if self._told or not self._inside:
            return False
        self._different |= set(rewards[: ENOUGH - len(self._different)])
        self._told = self._seen >= ENOUGH and len(self._different) > 1
        return self._told
