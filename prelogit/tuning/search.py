"""Which choices of parameters are tried: all of a grid, or those that optuna proposes.

Both begin with the method as it was given, and come to the same trials when they are run again:
what has been run is read from the store, so that a search which was cut off goes on where it was.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from prelogit.core.errors import InputError
from prelogit.evaluation.arms import Arm
from prelogit.tuning.space import Axis, Choices, Range, grid
from prelogit.tuning.trials import Bench, Trial, arm_of

_STEPS = 8  # how often a trial may be given up
_FIRST = 5  # trials that are drawn blindly and never given up
_PATIENCE = 20  # proposals in a row that were tried before


def by_grid(bench: Bench, axes: Sequence[Axis]) -> Iterator[Trial]:
    """Every combination on all prompts.

    Raises: InputError: an axis is a range, or a combination is none that the method can have.
    """
    seen = {bench.start.key}
    choices = list(grid(axes))
    yield bench.trial(0, {})
    for values in choices:
        key = arm_of(bench.start, values).key
        if key not in seen:
            seen.add(key)
            yield bench.trial(len(seen) - 1, values)


def grid_arms(start: Arm, axes: Sequence[Axis]) -> list[Arm]:
    """The methods of a grid, the start first, each once.

    Raises: as ``by_grid``.
    """
    found = {start.key: start}
    for values in grid(axes):
        arm = arm_of(start, values)
        found.setdefault(arm.key, arm)
    return list(found.values())


def by_optuna(
    bench: Bench, axes: Sequence[Axis], trials: int, *, prune_after: float, seed: int
) -> Iterator[Trial]:
    """``trials`` different choices by a tree-structured Parzen estimator, bad ones given up early.

    A trial is given up when, after ``prune_after`` of the prompts or later, the best mean that it
    had so far is below the median of the earlier trials' means at as many prompts.
    Raises: InputError: optuna is not installed.
    """
    optuna = _optuna()
    count = len(bench.entries)
    step = max(1, math.ceil(count / _STEPS))
    study = optuna.create_study(
        direction="maximize",
        sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=_FIRST),
        pruner=optuna.pruners.MedianPruner(
            n_startup_trials=_FIRST, n_warmup_steps=max(0, math.ceil(prune_after * count) - 1)
        ),
    )
    space = {axis.name: _distribution(optuna, axis) for axis in axes}
    seen: dict[str, Trial] = {}
    first = bench.trial(0, {})
    seen[first.arm.key] = first
    yield first
    most, again = _most(bench, axes, trials), 0
    while len(seen) <= most and again < _PATIENCE:
        asked = study.ask(space)
        values = _values(axes, asked.params)
        try:
            key = arm_of(bench.start, values).key
        except InputError:  # a rule about several parameters
            study.tell(asked, state=optuna.trial.TrialState.FAIL)
            again += 1
            continue

        def watch(prompts: int, mean: float, asked: Any = asked) -> bool:
            asked.report(mean, step=prompts - 1)
            return not asked.should_prune()

        is_new = key not in seen
        trial = bench.trial(len(seen), values, watch=watch, step=step) if is_new else seen[key]
        again = 0 if is_new else again + 1
        if is_new:
            seen[key] = trial
            yield trial
        _tell(optuna, study, asked, trial)


def _tell(optuna: Any, study: Any, asked: Any, trial: Trial) -> None:
    if trial.state == "failed" or trial.reward is None:
        study.tell(asked, state=optuna.trial.TrialState.FAIL)
    elif trial.state == "pruned":
        study.tell(asked, state=optuna.trial.TrialState.PRUNED)
    else:
        study.tell(asked, trial.reward.mean)


def _most(bench: Bench, axes: Sequence[Axis], trials: int) -> int:
    """Trials beside the first: as many as asked for, or as there are."""
    if any(isinstance(axis, Range) for axis in axes):
        return trials
    keys = set()
    for values in grid(axes):
        with suppress(InputError):  # a rule about several parameters
            keys.add(arm_of(bench.start, values).key)
    return min(trials, len(keys - {bench.start.key}))


def _distribution(optuna: Any, axis: Axis) -> Any:
    if isinstance(axis, Choices):
        # As text: optuna takes no lists, and 1 and 1.0 and true would be one value to it.
        texts = tuple(json.dumps(value) for value in axis.values)
        return optuna.distributions.CategoricalDistribution(texts)
    return optuna.distributions.FloatDistribution(axis.low, axis.high, log=axis.log)


def _values(axes: Sequence[Axis], params: Mapping[str, Any]) -> dict[str, Any]:
    return {
        axis.name: json.loads(params[axis.name]) if isinstance(axis, Choices) else params[axis.name]
        for axis in axes
    }


def _optuna() -> Any:
    try:
        import optuna
    except ImportError as error:
        raise InputError(
            "this search needs optuna: pip install 'prelogit[tune]', or --search grid",
            field="search",
        ) from error
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna
