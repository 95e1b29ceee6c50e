"""How many rows may live at once: halved when memory runs out."""

from __future__ import annotations


class RowsLimit:
    """A bound that outlives one engine, so that the next does not run into the same wall.

    Each new engine of a model dares twice the last one's rows, up to what the memory plan says.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.rows = most  # most rows now; at least 1
        self.halved = 0  # how many halvings ``rows`` stands below ``most``
        self.halvings = 0  # in the whole life of the process
        self.live = 0  # rows that decode now

    def halve(self, live: int) -> None:
        """Memory ran out while so many rows lived (0: none did): half of them from now on."""
        self.rows = max(1, min(self.rows, live or self.rows) // 2)
        self.halved += 1
        self.halvings += 1

    def restore(self) -> None:
        """What ran out of memory is gone, and was alone to blame."""
        self.rows, self.halved = self.most, 0

    def dare(self) -> None:
        """A new engine begins; nothing of an earlier one decodes."""
        self.live = 0
        self.rows = min(self.most, 2 * self.rows)
        self.halved = 0 if self.rows == self.most else max(1, self.halved - 1)
