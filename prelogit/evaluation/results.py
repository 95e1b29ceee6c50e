"""The runs of an evaluation as its tables and figures read them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Literal, NamedTuple

from prelogit.core.errors import InputError
from prelogit.data.entry import Entry
from prelogit.evaluation.arms import Arm
from prelogit.evaluation.estimate import Estimate, estimate
from prelogit.evaluation.store import Run, Store, Task
from prelogit.metrics.best_of import expected_best
from prelogit.metrics.curves import reward_curve
from prelogit.wire.params import BestOfN

Cost = Literal["samples", "tokens", "seconds"]


class Results(NamedTuple):
    """The runs that one reward has steered. ``measures``: names of what else is known of answers."""

    store: Store
    reward: str
    arms: Sequence[Arm]
    seeds: Sequence[int]
    entries: Sequence[Entry]
    references: Sequence[Arm]  # what the others are compared with
    measures: Sequence[str]
    cost: Cost

    def runs(self, arm: Arm) -> list[Run]:
        """Those that succeeded."""
        tasks = (Task(self.reward, arm, seed, []) for seed in self.seeds)
        found = (self.store.run(task, entry) for task in tasks for entry in self.entries)
        return [run for run in found if run is not None]

    def mean(self, arm: Arm, value: Callable[[Run], float | None]) -> Estimate | None:
        """The estimate of a number over an arm's runs."""
        return estimate((run.result.prompt_id, value(run)) for run in self.runs(arm))


def references_of(arms: Sequence[Arm], labels: Sequence[str]) -> list[Arm]:
    """The methods of these labels; without any, every best of n.

    Raises: InputError: there is no method of that label.
    """
    by_label = {arm.label: arm for arm in arms}
    for label in labels:
        if label not in by_label:
            raise InputError(
                f"reference: {label!r} is none of the methods: {', '.join(map(repr, by_label))}",
                field="reference",
            )
    return [by_label[label] for label in labels] or [arm for arm in arms if is_best_of_n(arm)]


def is_best_of_n(arm: Arm) -> bool:
    """Whether its answer is the best of independent samples, so that its first m are best of m."""
    return isinstance(arm.params, BestOfN)


def rewards_of(run: Run) -> list[float]:
    """Of all candidates, in the order in which they were drawn."""
    return [reward for row in run.rows for reward in row.rewards]


def spent(run: Run, cost: Cost) -> float:
    """What the run took, in samples, tokens or seconds (decoding and scoring)."""
    return float(getattr(reward_curve(run.rows)[-1], cost))


def at_equal_cost(run: Run, limit: float, cost: Cost) -> float:
    """What best of n would have been expected to reach with as much of this cost.

    Of its samples as many count as the limit would have bought, and all where it buys more.
    """
    rewards = rewards_of(run)
    bought = round(limit / spent(run, cost) * len(rewards))
    return expected_best(rewards, min(len(rewards), max(1, bought)))


def margin(results: Results, arm: Arm, reference: Arm) -> Estimate | None:
    """Mean paired difference of the best reward, prompt by prompt and seed by seed.

    Against best of n it is taken at equal cost.
    """
    theirs = {(run.result.prompt_id, run.result.seed): run for run in results.runs(reference)}
    pairs: list[tuple[str, float | None]] = []
    for run in results.runs(arm):
        other = theirs.get((run.result.prompt_id, run.result.seed))
        if other is None or run.result.reward is None or other.result.reward is None:
            continue
        value = other.result.reward
        if is_best_of_n(reference):
            value = at_equal_cost(other, spent(run, results.cost), results.cost)
        pairs.append((run.result.prompt_id, run.result.reward - value))
    return estimate(pairs)
