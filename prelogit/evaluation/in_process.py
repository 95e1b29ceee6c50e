"""Search an evaluation's prompts in this process, by the library."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Literal

from prelogit.evaluation.running import Solver
from prelogit.evaluation.store import Run, Task
from prelogit.wire.jobs import JobRequest
from prelogit.wire.params import Params

if TYPE_CHECKING:
    from prelogit.core.records import Result
    from prelogit.data.entry import Entry
    from prelogit.engine.load import Model
    from prelogit.rewards.protocol import Score
    from prelogit.search.course import Outcome

Template = Literal["chat", "none"]


def in_process(
    model: Model, scores: Mapping[str, Score], max_new_tokens: int, template: Template
) -> Solver:
    """All missing prompts of a task in one full batch; each is handed over when it has ended.

    So a kill costs no more than the prompts that are being decoded.
    """

    def solve_task(task: Task, on_run: Callable[[Run], None]) -> None:
        by_id = {entry.item.id: entry for entry in task.entries}

        def ended(result: Result, outcomes: Sequence[Outcome]) -> None:
            rows = outcomes[0].rows if outcomes else ()
            on_run(task.run(by_id[result.prompt_id], result, rows))

        search(
            model,
            task.entries,
            scores[task.reward],
            task.arm.params,
            ended,
            seed=task.seed,
            max_new_tokens=max_new_tokens,
            template=template,
        )

    return solve_task


def search(
    model: Model,
    entries: Sequence[Entry],
    score: Score,
    method: Params,
    ended: Callable[[Result, Sequence[Outcome]], None],
    *,
    seed: int,
    max_new_tokens: int,
    template: Template,
) -> None:
    """Search all entries; ``ended`` hears of each as soon as it is done.

    Raises: InputError: the method names a value network that is not there or another model's.
    """
    from prelogit.align import by_length
    from prelogit.rewards.hosted.coherence import packaged_coherence
    from prelogit.solve import Callbacks, PromptJob, solve
    from prelogit.value.use import Values

    request = JobRequest(
        prompts=tuple(entry.item for entry in entries),
        method=method,
        max_new_tokens=max_new_tokens,
        seed=seed,
        template=template,
    ).filled(model=model.name)
    jobs = [
        PromptJob(entry.item.id or "", place, entry.item) for place, entry in enumerate(entries)
    ]
    asyncio.run(
        solve(
            model,
            by_length(model, jobs, request),
            request,
            score,
            Callbacks(lambda *_: None, lambda *_: "continue", lambda _: None),
            values=Values(paths=True),
            coherence=packaged_coherence,
            nll=True,
            on_outcomes=ended,
        )
    )
