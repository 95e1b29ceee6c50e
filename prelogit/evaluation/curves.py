"""The paper's Figures 3 and 4 in numbers."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

from prelogit.evaluation.arms import Arm
from prelogit.evaluation.estimate import Estimate, estimate
from prelogit.evaluation.results import (
    Cost,
    Results,
    at_equal_cost,
    is_best_of_n,
    margin,
    rewards_of,
)
from prelogit.evaluation.store import Run
from prelogit.evaluation.table import Cell, Table
from prelogit.evaluation.tables import ERRORS
from prelogit.evaluation.varied import batches_of
from prelogit.metrics.best_of import best_of_first
from prelogit.metrics.curves import reward_curve


class Point(NamedTuple):
    """A method after so many rounds (best of n: after so many samples)."""

    label: str
    spent: float  # mean over the runs
    mean: Estimate | None  # of the round; of best of n: of all samples so far
    best: Estimate | None  # of the round
    best_so_far: Estimate | None


class _Step(NamedTuple):
    prompt: str
    spent: float
    mean: float
    best: float | None
    best_so_far: float


def curves(results: Results) -> list[Point]:
    """One point a round; best of n at the samples of the other methods' rounds.

    Source: arXiv 2510.26219, Fig. 3.
    """
    counts = _counts(results)
    found = []
    for arm in results.arms:
        by_place: dict[int, list[_Step]] = {}
        for run in results.runs(arm):
            bon = is_best_of_n(arm)
            steps = _of_bon(run, counts, results.cost) if bon else _rounds(run, results.cost)
            for place, step in enumerate(steps):
                by_place.setdefault(place, []).append(step)
        for steps in by_place.values():
            found.append(
                Point(
                    arm.label,
                    statistics.fmean(step.spent for step in steps),
                    estimate((step.prompt, step.mean) for step in steps),
                    estimate((step.prompt, step.best) for step in steps),
                    estimate((step.prompt, step.best_so_far) for step in steps),
                )
            )
    return found


def margins(results: Results) -> list[Point]:
    """After each round: the best so far minus best of n at equal cost, paired by prompt and seed.

    Against the first reference that is best of n, by its expected best of as many samples.
    Returns: points with ``best_so_far`` alone; none without such a reference.
    """
    reference = next((arm for arm in results.references if is_best_of_n(arm)), None)
    if reference is None:
        return []
    theirs = {(run.result.prompt_id, run.result.seed): run for run in results.runs(reference)}
    found = []
    for arm in results.arms:
        if is_best_of_n(arm):
            continue
        by_place: dict[int, list[tuple[str, float, float]]] = {}
        for run in results.runs(arm):
            other = theirs.get((run.result.prompt_id, run.result.seed))
            for place, step in enumerate(_rounds(run, results.cost) if other else ()):
                value = step.best_so_far - at_equal_cost(other, step.spent, results.cost)  # type: ignore[arg-type]
                by_place.setdefault(place, []).append((step.prompt, step.spent, value))
        for steps in by_place.values():
            spent = statistics.fmean(step[1] for step in steps)
            difference = estimate((prompt, value) for prompt, _, value in steps)
            found.append(Point(arm.label, spent, None, None, difference))
    return found


def figure3_table(parts: Sequence[Results]) -> Table:
    """The curves in numbers."""
    rows: list[list[Cell]] = [[part.reward, *point] for part in parts for point in curves(part)]
    columns = ["steered by", "method", parts[0].cost, "mean", "best", "best so far"]
    note = f"One row a round; best of n at the samples of those rounds, the first that it drew. {ERRORS}"
    return Table("figure3", "Figure 3 in numbers", columns, rows, note)


def figure4_table(parts: Sequence[Results]) -> Table | None:
    """Batched AISP, b prompts of n samples in b rounds, beside best of b * n; None without any.

    Source: arXiv 2510.26219, Fig. 4.
    """
    rows: list[list[Cell]] = []
    for part in parts:
        split = batches_of(part.arms)
        whole = [arm for arm in part.arms if is_best_of_n(arm)] if split else []
        for arm in [*split, *whole]:
            reward = part.mean(arm, lambda run: run.result.reward)
            b = 1 if arm in whole else arm.params.batch_size
            n = arm.params.samples // b
            minus = [None if arm in whole else margin(part, arm, one) for one in whole]
            rows.append([part.reward, arm.label, b, n, reward, *minus])
    if not rows:
        return None
    bons = [f"minus {arm.label}" for arm in parts[0].arms if is_best_of_n(arm)]
    columns = ["steered by", "method", "b", "n", "reward", *bons]
    note = f"b prompts decode b * n rows at a time for b rounds, as best of b * n does. {ERRORS}"
    return Table("figure4", "Figure 4 in numbers: Batched AISP", columns, rows, note)


def _counts(results: Results) -> list[int]:
    """Samples after each round of the methods that have rounds; of best of n alone: doubled."""
    others: list[Arm] = [arm for arm in results.arms if not is_best_of_n(arm)]
    found = {
        point.samples
        for arm in others
        for run in results.runs(arm)
        for point in reward_curve(run.rows)
    }
    most = max((arm.params.samples for arm in results.arms), default=1)
    return sorted(found | {most}) if others else _doubled(most)


def _doubled(most: int) -> list[int]:
    return sorted({*(2**power for power in range(most.bit_length())), most})


def _rounds(run: Run, cost: Cost) -> list[_Step]:
    return [
        _Step(
            run.result.prompt_id,
            float(getattr(point, cost)),
            point.mean,
            point.best,
            point.best_so_far,
        )
        for point in reward_curve(run.rows)
    ]


def _of_bon(run: Run, counts: Sequence[int], cost: Cost) -> list[_Step]:
    rewards = rewards_of(run)
    known = sorted({min(count, len(rewards)) for count in counts})
    total = float(getattr(reward_curve(run.rows)[-1], cost))
    return [
        _Step(
            run.result.prompt_id,
            total * count / len(rewards),
            statistics.fmean(rewards[:count]),
            None,
            best,
        )
        for count, best in zip(known, best_of_first(rewards, known), strict=True)
    ]
