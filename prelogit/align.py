"""Align prompts in this process, without a service."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Literal

from prelogit.core.errors import InputError
from prelogit.core.records import Candidate, Iteration, Kl, Result, Trace
from prelogit.engine.load import Model
from prelogit.rewards.hosted.coherence import packaged_coherence
from prelogit.rewards.protocol import Score
from prelogit.search.course import Keep, Outcome
from prelogit.search.driver import Verdict
from prelogit.search.share import share_of
from prelogit.solve import Callbacks, PromptJob, shape_of, solve
from prelogit.text import encode
from prelogit.value.use import Values
from prelogit.wire.jobs import Budget, JobRequest, PromptItem, RewardRef, Stop
from prelogit.wire.limits import pool_size
from prelogit.wire.params import AISP, Baseline, Params


class AlignedResult(Result):
    """A result with its whole trace and the candidates that were kept."""

    trace: Trace
    candidates: tuple[Candidate, ...]


def align(
    model: Model,
    prompts: Sequence[str | PromptItem | Mapping[str, Any]],
    reward: Score,
    *,
    method: Params | None = None,
    baselines: Sequence[Baseline] = (),
    max_new_tokens: int = 64,
    seed: int = 0,
    keep: Keep = "best",
    top_k: int = 1,
    stop: Stop | None = None,
    budget: Budget | None = None,
    held_out: Score | None = None,
    template: Literal["chat", "none"] = "chat",
    on_iteration: Callable[[str, int, Iteration], None] | None = None,
    home: Path | str | None = None,
    coherence: bool = True,
    nll: bool = True,
) -> list[AlignedResult]:
    """Search the answers that the reward likes best, without a service.

    Prompts are sorted by their token length and searched ``method.batch_size`` at a time
    (Batched AISP), more of them while rows are free; results come back in the order of the prompts.

    Args:    model: from ``load_model``. prompts: text, or the REST API's prompt objects.
             reward: from ``load_reward``. budget: of all prompts together, spent where it still
             pays. held_out: from ``load_reward``; scores every candidate of the method too, is
             traced, and never steers. on_iteration: told prompt id, arm (0 is the method) and row after every round.
             home: where value networks lie; None: PRELOGIT_HOME.
             coherence: measure it, where the packaged sentence embeddings are installed.
             nll: measure that of each answer under the model, the baselines' too.
    Returns: one result a prompt; a prompt that cannot be run has status "failed" and its reason.
    Raises:  pydantic.ValidationError: names the field. InputError: a method names a value network
             that is not there or another model's; held_out is the reward. RewardError never: it
             fails its prompt.
    Source:  arXiv 2510.26219, Algorithm 1.
    """
    if held_out is reward:
        raise InputError(
            "held_out is the reward that steers: give another one, or leave it out",
            field="held_out",
        )
    request = JobRequest(
        prompts=prompts_of(prompts),
        method=method or AISP(),
        baselines=tuple(baselines),
        max_new_tokens=max_new_tokens,
        seed=seed,
        keep=keep,
        top_k=top_k,
        held_out=None if held_out is None else RewardRef(name="held_out"),
        stop=stop or Stop(),
        budget=budget,
        template=template,
    ).filled(model=model.name)
    jobs = [PromptJob(item.id or "", index, item) for index, item in enumerate(request.items)]
    found: dict[str, AlignedResult] = {}

    def report(prompt_id: str, arm: int, row: Iteration, kept: tuple[Candidate, ...]) -> Verdict:
        if on_iteration is not None:
            on_iteration(prompt_id, arm, row)
        return "continue"

    def collect(result: Result, outcomes: Sequence[Outcome]) -> None:
        method_outcome = outcomes[0] if outcomes else Outcome("failed", (), (), Kl())
        shape = shape_of(model, result.prompt_id, request)
        trace = Trace(
            prompt_id=result.prompt_id,
            method=request.method.model_dump(),
            seed=seed,
            window=shape.window,
            dim=shape.dim,
            iterations=method_outcome.rows,
        )
        kept = sorted(method_outcome.kept, key=lambda c: (c.iteration, c.sample))
        found[result.prompt_id] = AlignedResult(**dict(result), trace=trace, candidates=tuple(kept))

    callbacks = Callbacks(lambda *_: None, report, lambda _: None)

    async def search_all() -> None:
        for some in pools(by_length(model, jobs, request), request):
            await solve(
                model,
                some,
                request,
                reward,
                callbacks,
                values=Values(home, paths=True),
                coherence=packaged_coherence if coherence else None,
                nll=nll,
                share=share_of(
                    request, {job.prompt_id: job.index for job in some}, prompts=len(jobs)
                ),
                held_out=held_out,
                on_outcomes=collect,
            )

    _run(search_all())
    return [found[job.prompt_id] for job in jobs]


def prompts_of(
    prompts: Sequence[str | PromptItem | Mapping[str, Any]],
) -> tuple[str | PromptItem, ...]:
    """Prompts as a request takes them."""
    return tuple(p if isinstance(p, str) else PromptItem.model_validate(p) for p in prompts)


def by_length(model: Model, jobs: Sequence[PromptJob], request: JobRequest) -> list[PromptJob]:
    """Prompts of like length beside each other."""

    def length(job: PromptJob) -> int:
        try:
            return len(encode(model.tokenizer, job.item, request.template))
        except InputError:  # told as that prompt's failure when its turn comes
            return 0

    return sorted(jobs, key=length)


def pools(jobs: Sequence[PromptJob], request: JobRequest) -> list[Sequence[PromptJob]]:
    """The prompts as they share a budget; all together without one."""
    size = len(jobs)
    if request.budget is not None:
        size = pool_size(len(jobs), request.method.batch_size)
    return [jobs[at : at + size] for at in range(0, len(jobs), size)]


def _run(work: Any) -> None:
    """Run a coroutine to its end, also where a loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(asyncio.run, work).result()
