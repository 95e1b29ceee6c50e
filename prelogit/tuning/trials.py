"""One choice of parameters, run on the prompts until it has lost."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from prelogit.data.entry import Entry
from prelogit.evaluation.arms import Arm, labelled
from prelogit.evaluation.estimate import Estimate, estimate
from prelogit.evaluation.running import Solver, run_all
from prelogit.evaluation.store import Run, Store, Task
from prelogit.tuning.space import changed
from prelogit.wire.params import Params

State = Literal["complete", "pruned", "failed"]
# (prompts done, mean reward so far) -> whether to go on
Watch = Callable[[int, float], bool]
OnRun = Callable[[Task, Run], None]


class Trial(NamedTuple):
    """What a choice of parameters has brought; ``runs`` of a pruned one are of the first prompts."""

    number: int
    arm: Arm
    values: Mapping[str, Any]  # those that were changed
    state: State
    runs: tuple[Run, ...]

    @property
    def reward(self) -> Estimate | None:
        """Mean best reward."""
        return estimate((run.result.prompt_id, run.result.reward) for run in self.runs)


class Bench(NamedTuple):
    """What every trial is run on."""

    solver: Solver
    store: Store
    reward: str
    seeds: Sequence[int]
    entries: Sequence[Entry]
    start: Arm
    on_run: OnRun = lambda task, run: None

    def trial(
        self,
        number: int,
        values: Mapping[str, Any],
        *,
        watch: Watch = lambda prompts, mean: True,
        step: int | None = None,
    ) -> Trial:
        """Run the start with these values changed, ``step`` prompts (None: all) at a time.

        Raises: InputError: the method cannot have these values.
        """
        arm = arm_of(self.start, values)
        size = step or len(self.entries)
        runs: list[Run] = []
        state: State = "complete"
        for place in range(0, len(self.entries), size):
            part = list(self.entries[place : place + size])
            tasks = [Task(self.reward, arm, seed, part) for seed in self.seeds]
            if run_all(self.solver, tasks, self.store, self.on_run):
                state = "failed"
            found = (self.store.run(task, entry) for task in tasks for entry in part)
            runs += [run for run in found if run is not None]
            if state == "failed":
                break
            done = place + len(part)
            mean = estimate((run.result.prompt_id, run.result.reward) for run in runs)
            if mean is not None and not watch(done, mean.mean) and done < len(self.entries):
                state = "pruned"
                break
        return Trial(number, arm, dict(values), state, tuple(runs))


def arm_of(start: Arm, values: Mapping[str, Any]) -> Arm:
    """The method with these values, named after them.

    Raises: InputError: the method cannot have these values.
    """
    params: Params = changed(start.params, values)
    return Arm(labelled(start.label, (f"{k}={v}" for k, v in values.items())), params)


def best_of(trials: Sequence[Trial]) -> Trial | None:
    """The highest mean among those that have seen all prompts; None where none has."""
    complete = [(one.reward.mean, one) for one in trials if one.state == "complete" and one.reward]
    return max(complete, key=lambda pair: pair[0])[1] if complete else None


def difference(trial: Trial, other: Trial) -> Estimate | None:
    """Mean paired difference of the best reward, by prompt and seed."""
    theirs = {(run.result.prompt_id, run.result.seed): run.result.reward for run in other.runs}
    pairs: list[tuple[str, float | None]] = []
    for run in trial.runs:
        value = theirs.get((run.result.prompt_id, run.result.seed))
        if value is not None and run.result.reward is not None:
            pairs.append((run.result.prompt_id, run.result.reward - value))
    return estimate(pairs)
