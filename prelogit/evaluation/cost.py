"""What an evaluation will cost, said before it begins."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from prelogit.core.records import Result
from prelogit.evaluation.store import Run, Store, Task
from prelogit.wire.params import BestOfN

if TYPE_CHECKING:
    from prelogit.engine.load import Model
    from prelogit.evaluation.in_process import Template
    from prelogit.rewards.protocol import Score

_SAMPLES, _TOKENS = 8, 8


class Rate(NamedTuple):
    """What a sample takes; ``is_bound``: no sample can have more tokens."""

    tokens: float
    seconds: float
    is_bound: bool


class Cost(NamedTuple):
    """Of all that is still to be run. ``seconds``: None where nothing has been measured."""

    searches: int
    samples: int
    tokens: int
    seconds: float | None
    is_bound: bool


def cost_of(
    tasks: Sequence[Task], store: Store, max_new_tokens: int, trial: Rate | None = None
) -> Cost:
    """Of the prompts that have no answer yet, at the rate of those that have, else of a trial."""
    missing = [(task, len(store.missing(task))) for task in tasks]
    samples = sum(count * task.arm.params.samples for task, count in missing)
    return priced(sum(count for _, count in missing), samples, store, max_new_tokens, trial)


def priced(
    searches: int, samples: int, store: Store, max_new_tokens: int, trial: Rate | None = None
) -> Cost:
    """Of so many samples, at the rate of the runs that are there, else of a trial."""
    rate = measured(store.runs) or trial
    tokens = rate.tokens if rate is not None else float(max_new_tokens)
    return Cost(
        searches,
        samples,
        round(samples * tokens),
        samples * rate.seconds if rate is not None else None,
        rate is None or rate.is_bound,
    )


def measured(runs: Iterable[Run]) -> Rate | None:
    """The mean over what has been run; None before the first."""
    results: list[Result] = [run.result for run in runs if run.result.samples]
    if not results:
        return None
    samples = sum(result.samples for result in results)
    seconds = sum(result.seconds.decode + result.seconds.reward for result in results)
    tokens = sum(result.generated_tokens for result in results)
    return Rate(tokens / samples, seconds / samples, is_bound=False)


def trial(
    model: Model, score: Score, task: Task, *, max_new_tokens: int, template: Template
) -> Rate:
    """A few samples of the task's first prompt, decoded and scored now; they are thrown away."""
    from prelogit.evaluation.in_process import search

    found: list[Any] = []
    seconds = []
    for _ in range(2):  # what the first warms up is not counted
        began = time.perf_counter()
        search(
            model,
            task.entries[:1],
            score,
            BestOfN(n=_SAMPLES),
            lambda result, outcomes: found.append(result),
            seed=task.seed,
            max_new_tokens=min(_TOKENS, max_new_tokens),
            template=template,
        )
        seconds.append(time.perf_counter() - began)
    tokens = statistics.fmean(result.generated_tokens for result in found) or 1.0
    return Rate(float(max_new_tokens), min(seconds) / tokens * max_new_tokens, is_bound=True)
