"""Which candidate is a search's answer, and in which order the others follow."""

from __future__ import annotations

from collections.abc import Sequence

from prelogit.core.records import Candidate, Iteration


def chosen(rows: Sequence[Iteration]) -> tuple[int, int] | None:
    """Round and sample that the method chose last; None where the best candidate is the answer."""
    for row in reversed(rows):
        if row.chosen is not None:
            return row.k, row.chosen
    return None


def rank(found: Sequence[Candidate], rows: Sequence[Iteration]) -> list[Candidate]:
    """The chosen one first, then the best first; of equals the one drawn first."""
    first = chosen(rows)
    return sorted(
        found,
        key=lambda c: ((c.iteration, c.sample) != first, -c.reward, c.iteration, c.sample),
    )


def distinct(ranked: Sequence[Candidate]) -> list[Candidate]:
    """The first of each text: a second copy of an answer is no second answer."""
    first: dict[str, Candidate] = {}
    for candidate in ranked:
        first.setdefault(candidate.text, candidate)
    return list(first.values())
