"""Align prompts in this process: what the library offers and what a worker runs."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, NamedTuple

from prelogit.core.errors import InputError
from prelogit.core.records import (
    BaselineResult,
    Candidate,
    Iteration,
    Kl,
    ModelRef,
    Result,
    Seconds,
    Trace,
)
from prelogit.engine.load import Model
from prelogit.methods import METHODS
from prelogit.metrics.diversity import diversity
from prelogit.rewards.protocol import Scores
from prelogit.search.course import Keep, Outcome, Search
from prelogit.search.driver import Scored, Verdict, run
from prelogit.search.plan import Rollouts, SearchId, Shape
from prelogit.text import conversation, encode
from prelogit.wire.jobs import JobRequest, PromptItem, Stop
from prelogit.wire.params import AISP, BestOfN, Params

if TYPE_CHECKING:
    from typing import Literal

Score = Callable[[list[list[dict[str, str]]], list[str]], Awaitable[Scores]]


class Stored(NamedTuple):
    """What an earlier run left of one arm."""

    rows: tuple[Iteration, ...]
    kept: tuple[Candidate, ...]


@dataclass(frozen=True)
class PromptJob:
    """One prompt to solve; ``stored`` by arm is empty for a fresh prompt."""

    prompt_id: str
    index: int
    item: PromptItem
    stored: Mapping[int, Stored] = field(default_factory=dict)


class Callbacks(NamedTuple):
    """Where rows and results go. A ``LeaseLostError`` from one of them abandons its prompt."""

    on_prompt: Callable[[str, int, int], None]  # prompt id, window, dim; before the first round
    on_iteration: Callable[[str, int, Iteration, tuple[Candidate, ...]], Verdict]
    on_result: Callable[[Result], None]  # once a prompt, unless it was abandoned


class AlignedResult(Result):
    """A result with its whole trace and the candidates that were kept."""

    trace: Trace
    candidates: tuple[Candidate, ...]


async def solve(
    model: Model,
    jobs: Sequence[PromptJob],
    request: JobRequest,
    score: Score,
    callbacks: Callbacks,
) -> None:
    """Search all prompts of one batch at once; every prompt ends by one call of on_result.

    A prompt that cannot be run (too long, refused by the template) fails with the reason and
    leaves the others alone. ``request`` has its defaults filled in.
    """
    await _solve(model, jobs, request, score, callbacks, lambda result, outcomes: None)


async def _solve(
    model: Model,
    jobs: Sequence[PromptJob],
    request: JobRequest,
    score: Score,
    callbacks: Callbacks,
    on_outcomes: Callable[[Result, Sequence[Outcome]], None],
) -> None:
    engine, arms = model.engine(), (request.method, *request.baselines)
    searches: dict[SearchId, Search] = {}
    lengths: dict[str, int] = {}
    by_id = {job.prompt_id: job for job in jobs}
    reward_model: list[ModelRef] = []

    for job in jobs:
        try:
            token_ids = prompt_tokens(model, job.item, request)
        except InputError as error:
            result = _failed(job, request, model, str(error))
            callbacks.on_result(result)
            on_outcomes(result, ())
            continue
        shape = _shape(model, job, request)
        callbacks.on_prompt(job.prompt_id, shape.window, shape.dim)
        engine.admit(job.prompt_id, token_ids)
        lengths[job.prompt_id] = len(token_ids)
        for arm, params in enumerate(arms):
            stored = job.stored.get(arm, Stored((), ()))
            searches[SearchId(job.prompt_id, arm)] = Search(
                METHODS[params.name],
                params,
                shape,
                keep=request.keep,
                top_k=request.top_k,
                stop=request.stop if arm == 0 else Stop(),
                rows=stored.rows,
                kept=stored.kept,
            )

    async def judge(search: SearchId, rollouts: Rollouts) -> Scored:
        texts = texts_of(model, rollouts)
        messages = conversation(by_id[search.prompt].item)
        scores = await score([messages] * len(texts), texts)
        reward_model[:] = [scores.reward]
        return Scored(texts, scores.rewards, scores.seconds)

    ended: dict[str, dict[int, Outcome]] = {}

    def on_end(search: SearchId, outcome: Outcome) -> None:
        mine = ended.setdefault(search.prompt, {})
        mine[search.arm] = outcome
        if len(mine) < len(arms):
            return
        engine.release(search.prompt)
        outcomes = [mine[arm] for arm in range(len(arms))]
        if any(one.ending == "abandoned" for one in outcomes):
            return
        job = by_id[search.prompt]
        result = _result(
            job,
            request,
            model,
            outcomes,
            prompt_tokens=lengths[job.prompt_id],
            reward_model=reward_model[0] if reward_model else None,
        )
        callbacks.on_result(result)
        on_outcomes(result, outcomes)

    await run(
        searches,
        engine,
        judge,
        on_iteration=lambda search, row, kept: callbacks.on_iteration(
            search.prompt, search.arm, row, kept
        ),
        on_end=on_end,
    )


def prompt_tokens(model: Model, item: PromptItem, request: JobRequest) -> list[int]:
    """The prompt's token ids.

    Raises: InputError: it does not fit the model's context together with its answer.
    """
    token_ids = encode(model.tokenizer, item, request.template)
    need = len(token_ids) + request.max_new_tokens
    if model.context is not None and need > model.context:
        raise InputError(
            f"the prompt has {len(token_ids)} tokens and may be answered with "
            f"{request.max_new_tokens} more, but {model.name} holds {model.context}: shorten the "
            "prompt or lower max_new_tokens",
            field="prompt",
        )
    return token_ids


def texts_of(model: Model, rollouts: Rollouts) -> list[str]:
    """The responses as text, without special tokens."""
    rows = zip(rollouts.token_ids.tolist(), rollouts.length.tolist(), strict=True)
    return [model.tokenizer.decode(ids[:length], skip_special_tokens=True) for ids, length in rows]


def _shape(model: Model, job: PromptJob, request: JobRequest) -> Shape:
    window = request.method.window if isinstance(request.method, AISP) else None
    limit = request.max_new_tokens
    return Shape(min(window or limit, limit), model.dim, limit, request.seed, job.prompt_id)


def _failed(job: PromptJob, request: JobRequest, model: Model, error: str) -> Result:
    return Result(
        prompt_id=job.prompt_id,
        index=job.index,
        status="failed",
        seed=request.seed,
        model=model.ref,
        versions=versions(),
        error=error,
    )


def _result(
    job: PromptJob,
    request: JobRequest,
    model: Model,
    outcomes: Sequence[Outcome],
    *,
    prompt_tokens: int,
    reward_model: ModelRef | None,
) -> Result:
    """The prompt's answer with its costs, from the outcomes of its arms."""
    method = outcomes[0]
    best = method.kept[0] if method.kept else None
    cancelled = any(one.ending == "cancelled" for one in outcomes)
    failed = method.ending == "failed"
    return Result(
        prompt_id=job.prompt_id,
        index=job.index,
        status="failed" if failed else "cancelled" if cancelled else "succeeded",
        response=best.text if best else None,
        responses=method.kept[: request.top_k],
        finish_reason=best.finish_reason if best else None,
        reward=best.reward if best else None,
        baselines=tuple(
            _baseline(params, outcome, best)
            for params, outcome in zip(request.baselines, outcomes[1:], strict=True)
        ),
        kl=method.kl,
        diversity=diversity(best.token_ids) if best else None,
        samples=sum(len(row.rewards) for row in method.rows),
        iterations=len(method.rows),
        prompt_tokens=prompt_tokens,
        generated_tokens=sum(row.tokens for row in method.rows),
        seconds=sum((row.seconds for row in method.rows), Seconds()),
        seed=request.seed,
        model=model.ref,
        reward_model=reward_model,
        versions=versions(),
        warnings=method.warnings,
        error=method.error,
    )


def _baseline(params: BestOfN, outcome: Outcome, best: Candidate | None) -> BaselineResult:
    mine = outcome.kept[0] if outcome.kept else None
    seconds = sum((row.seconds for row in outcome.rows), Seconds())
    return BaselineResult(
        name=params.name,
        noise=params.noise,
        reward=mine.reward if mine else None,
        response=mine.text if mine else None,
        samples=sum(len(row.rewards) for row in outcome.rows),
        generated_tokens=sum(row.tokens for row in outcome.rows),
        seconds=seconds.decode + seconds.reward,
        margin=best.reward - mine.reward if best and mine else None,
        error=outcome.error,
    )


def versions() -> dict[str, str]:
    """What computed a result."""
    return {name: version(name) for name in ("prelogit", "torch", "transformers")}


def align(
    model: Model,
    prompts: Sequence[str | PromptItem | Mapping[str, Any]],
    reward: Score,
    *,
    method: Params | None = None,
    baselines: Sequence[BestOfN] = (),
    max_new_tokens: int = 64,
    seed: int = 0,
    keep: Keep = "best",
    top_k: int = 1,
    stop: Stop | None = None,
    template: Literal["chat", "none"] = "chat",
    on_iteration: Callable[[str, int, Iteration], None] | None = None,
) -> list[AlignedResult]:
    """Search the answers that the reward likes best, without a service.

    Prompts are sorted by their token length and searched ``method.batch_size`` at a time
    (Batched AISP); results come back in the order of the prompts.

    Args:    model: from ``load_model``. prompts: text, or the REST API's prompt objects.
             reward: from ``load_reward``. on_iteration: told prompt id, arm (0 is the method)
             and row after every round.
    Returns: one result a prompt; a prompt that cannot be run has status "failed" and its reason.
    Raises:  pydantic.ValidationError: names the field. RewardError never: it fails its prompt.
    Source:  arXiv 2510.26219, Algorithm 1.
    """
    request = JobRequest(
        prompts=tuple(p if isinstance(p, str) else PromptItem.model_validate(p) for p in prompts),
        method=method or AISP(),
        baselines=tuple(baselines),
        max_new_tokens=max_new_tokens,
        seed=seed,
        keep=keep,
        top_k=top_k,
        stop=stop or Stop(),
        template=template,
    ).filled(model=model.name)
    jobs = [
        PromptJob(item.id or "", index, item)
        for index, item in enumerate(request.prompts)
        if isinstance(item, PromptItem)
    ]
    found: dict[str, AlignedResult] = {}

    def report(prompt_id: str, arm: int, row: Iteration, kept: tuple[Candidate, ...]) -> Verdict:
        if on_iteration is not None:
            on_iteration(prompt_id, arm, row)
        return "continue"

    def collect(result: Result, outcomes: Sequence[Outcome]) -> None:
        method_outcome = outcomes[0] if outcomes else Outcome("failed", (), (), Kl())
        job = next(job for job in jobs if job.prompt_id == result.prompt_id)
        shape = _shape(model, job, request)
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

    async def all_batches() -> None:
        for batch in batches(model, jobs, request):
            await _solve(model, batch, request, reward, callbacks, collect)

    _run(all_batches())
    return [found[job.prompt_id] for job in jobs]


def batches(model: Model, jobs: Sequence[PromptJob], request: JobRequest) -> list[list[PromptJob]]:
    """Prompts of like length together, b at a time."""

    def length(job: PromptJob) -> int:
        try:
            return len(encode(model.tokenizer, job.item, request.template))
        except InputError:  # told as that prompt's failure when its turn comes
            return 0

    ordered = sorted(jobs, key=length)
    size = request.method.batch_size
    return [ordered[i : i + size] for i in range(0, len(ordered), size)]


def _run(work: Any) -> None:
    """Run a coroutine to its end, also where a loop is running already (a notebook)."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        asyncio.run(work)
        return
    from concurrent.futures import ThreadPoolExecutor

    with ThreadPoolExecutor(max_workers=1) as pool:
        pool.submit(asyncio.run, work).result()
