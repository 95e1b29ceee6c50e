"""Means and paired differences of the study's methods, with one standard error over prompts."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.study_cells import Cell, Study
from prelogit.evaluation.estimate import Estimate, estimate

Value = Callable[[Cell], float | None]


def mean(study: Study, arm: str, reward: str, value: Value) -> Estimate | None:
    """Of one method."""
    return estimate((c.prompt, value(c)) for c in study.of(arm, reward).values())


def margin(
    study: Study, arm: str, other: str, reward: str, value: Value | None = None
) -> Estimate | None:
    """Of one method over another, where both were run; of the best reward if nothing else is named."""

    def of(cell: Cell) -> float | None:
        return cell.best(reward) if value is None else value(cell)

    one, two = study.of(arm, reward), study.of(other, reward)
    pairs = []
    for key in one.keys() & two.keys():
        x, y = of(one[key]), of(two[key])
        pairs.append((key[0], None if x is None or y is None else x - y))
    return estimate(pairs)


def samples(study: Study, arm: str) -> int:
    """Candidates of a search."""
    cells = next(cells for (name, _), cells in study.cells.items() if name == arm)
    return len(cells[0].flat(next(iter(cells[0].rewards))))


def ratio(study: Study, arm: str, other: str, reward: str) -> float | None:
    """CPU time of one method over another's, on what both have run."""
    one, two = study.of(arm, reward), study.of(other, reward)
    keys = one.keys() & two.keys()
    if not keys:
        return None
    return sum(one[key].seconds(reward) for key in keys) / sum(
        two[key].seconds(reward) for key in keys
    )


def ratio_of_rates(study: Study, arm: str, pool: str, reward: str) -> float | None:
    """The same where the other was run with more samples: its time for as many."""
    found = ratio(study, arm, pool, reward)
    return None if found is None else found * samples(study, pool) / samples(study, arm)


def seeds(study: Study, arm: str, reward: str) -> str:
    """How many prompts and seeds a method was run on."""
    keys = study.of(arm, reward)
    return f"{len({p for p, _ in keys})} x {len({s for _, s in keys})}"


def in_errors(found: Estimate | None) -> float | None:
    """A difference in its standard errors."""
    return None if found is None or not found.se else found.mean / found.se
