"""What was tried, how often, and every promise that was broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable

MOST_CHARACTERS = 600


class Tally:
    """Counts cases by what was tried, and keeps what was found."""

    def __init__(self, heading: str) -> None:
        self.heading = heading
        self.counted: Counter[str] = Counter()
        self.broken: dict[str, str] = {}

    def case(self, what: str) -> None:
        """One more was tried."""
        self.counted[what] += 1

    def breach(self, what: str, seen: str) -> None:
        """A promise was broken; of the same kind the first is kept, with how it was ``seen``."""
        self.broken.setdefault(what[:MOST_CHARACTERS], seen[:MOST_CHARACTERS])

    @property
    def breaches(self) -> list[str]:
        """Every kind, with how to see it again."""
        return [f"{what}; {seen}" for what, seen in self.broken.items()]

    @property
    def cases(self) -> int:
        """All that were tried."""
        return self.counted.total()


def table(tallies: Iterable[Tally], say: Callable[[str], None]) -> int:
    """Tells all of it. Returns: how many promises were broken."""
    broken = 0
    for tally in tallies:
        say(f"\n{tally.heading}: {tally.cases:,} cases")
        for what, count in sorted(tally.counted.items()):
            say(f"  {what:<72} {count:>7,}")
        for breach in tally.breaches:
            say(f"  BROKEN: {breach}")
        broken += len(tally.breaches)
    return broken
