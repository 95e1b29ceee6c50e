"""Search a batch of prompts: what a worker runs, and what ``align`` is made of."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import NamedTuple

from prelogit.compose import composed, failed
from prelogit.core.errors import InputError, LeaseLostError
from prelogit.core.records import Candidate, Iteration, ModelRef, Result
from prelogit.engine.likelihood import measured_nll
from prelogit.engine.load import Model
from prelogit.methods import METHODS
from prelogit.rewards.protocol import Score
from prelogit.scoring import score_both, scored
from prelogit.search.course import Outcome, Scored, Search
from prelogit.search.driver import Verdict, run
from prelogit.search.guiding import Weighed
from prelogit.search.plan import Question, Rollouts, SearchId, Shape
from prelogit.search.pool import Pool
from prelogit.search.share import Share
from prelogit.search.together import Together
from prelogit.search.variance import takes_the_models
from prelogit.text import conversation, encode
from prelogit.value.use import Values, net_for, recorder_for
from prelogit.weighing import weigh
from prelogit.wire.jobs import JobRequest, PromptItem, Stop


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


# (conversation, response) -> -1 to 1, or None where it cannot be said
Coherence = Callable[[list[dict[str, str]], str], float | None]


class Callbacks(NamedTuple):
    """Where rows and results go. A ``LeaseLostError`` from one of them abandons its prompt.

    on_question: prompt id; before each token of a method that picks them by the reward, whose one
    round is long. "cancel" ends its responses where they stand.
    """

    on_prompt: Callable[[str, int, int], None]  # prompt id, window, dim; before the first round
    on_iteration: Callable[[str, int, Iteration, tuple[Candidate, ...]], Verdict]
    on_result: Callable[[Result], None]  # once a prompt, unless it was abandoned
    on_question: Callable[[str], Verdict] = lambda prompt_id: "continue"


async def solve(
    model: Model,
    jobs: Sequence[PromptJob],
    request: JobRequest,
    score: Score,
    callbacks: Callbacks,
    *,
    values: Values | None = None,
    coherence: Coherence | None = None,
    nll: bool = False,
    share: Share | None = None,
    held_out: Score | None = None,
    on_outcomes: Callable[[Result, Sequence[Outcome]], None] = lambda result, outcomes: None,
) -> None:
    """Search all prompts of one batch at once; every prompt ends by one call of on_result.

    A prompt that cannot be run (too long, refused by the template) fails with the reason and
    leaves the others alone. ``request`` has its defaults filled in. ``on_outcomes`` is told
    after on_result what each arm ended with (nothing for a prompt that could not be run).
    ``values``: where value networks lie; None: in PRELOGIT_HOME. ``coherence`` is measured of
    each answer; None: not at all. ``nll``: whether that of each arm's answer is. ``share``: what the
    method may have for all of ``jobs`` together; None: each its own rounds. ``held_out``: scores
    what the method draws too, and never steers.

    Raises: InputError: a value network that an arm names is not there, or another model's.
            ModelError: an arm's sigma2 is "auto", and cannot be measured of this model.
    """
    values = values or Values()
    arms = (request.method, *request.baselines)
    nets = [
        await asyncio.to_thread(
            net_for,
            params,
            values,
            model=model.ref,
            dim=model.dim,
            seed=request.seed,
            field=f"baselines.{arm - 1}" if arm else "method",
        )
        for arm, params in enumerate(arms)
    ]
    isotropic = any(takes_the_models(params) for params in arms)
    sigma2 = await asyncio.to_thread(lambda: model.sigma2) if isotropic else None
    recorder = recorder_for(request, values, model=model.ref, dim=model.dim)
    engine = model.engine()
    searches: dict[SearchId, Search] = {}
    prompts: dict[str, list[int]] = {}
    by_id = {job.prompt_id: job for job in jobs}
    reward_model: list[ModelRef] = []
    pool = Pool(share, request.stop) if share is not None else None

    def report(result: Result, outcomes: Sequence[Outcome]) -> None:
        with suppress(LeaseLostError):  # another worker has the prompt and will report it
            callbacks.on_result(result)
            on_outcomes(result, outcomes)

    for job in jobs:
        try:
            token_ids = prompt_tokens(model, job.item, request)
        except InputError as error:
            if pool is not None:
                pool.enter(job.prompt_id, ())
                pool.leave(job.prompt_id)
            report(failed(job.prompt_id, job.index, request, model.ref, str(error)), ())
            continue
        shape = shape_of(model, job.prompt_id, request)
        try:
            callbacks.on_prompt(job.prompt_id, shape.window, shape.dim)
        except LeaseLostError:
            if pool is not None:
                pool.halt = "abandoned"
            continue
        engine.admit(job.prompt_id, token_ids)
        prompts[job.prompt_id] = token_ids
        for arm, params in enumerate(arms):
            stored = job.stored.get(arm, Stored((), ()))
            searches[SearchId(job.prompt_id, arm)] = Search(
                METHODS[params.name],
                params,
                shape._replace(value=nets[arm], sigma2=sigma2),
                keep=request.keep,
                top_k=request.top_k,
                stop=request.stop if arm == 0 else Stop(),
                rows=stored.rows,
                kept=stored.kept,
            )

    async def judge(search: SearchId, rollouts: Rollouts) -> Scored:
        texts = texts_of(model, rollouts)
        messages = conversation(by_id[search.prompt].item)
        second = held_out if search.arm == 0 else None
        scores, looked = await score_both(score, second, [messages] * len(texts), texts)
        reward_model[:] = [scores.reward]
        if recorder is not None and rollouts.hidden is not None:
            recorder.keep(
                search.prompt,
                prompts[search.prompt],
                hidden=rollouts.hidden,
                length=rollouts.length,
                rewards=scores.rewards,
                reward=scores.reward,
            )
        return scored(texts, scores, looked)

    async def weighed(search: SearchId, question: Question) -> Weighed:
        messages = conversation(by_id[search.prompt].item)
        return await weigh(score, model.tokenizer, messages, question)

    ended: dict[str, dict[int, Outcome]] = {}

    def on_end(search: SearchId, outcome: Outcome) -> None:
        mine = ended.setdefault(search.prompt, {})
        mine[search.arm] = outcome
        if len(mine) < len(arms):
            return
        outcomes = [mine[arm] for arm in range(len(arms))]
        prefix = engine.prefix(search.prompt)
        engine.release(search.prompt)
        if any(one.ending == "abandoned" for one in outcomes):
            return
        answers = [one.kept[0].token_ids if one.kept else () for one in outcomes]
        prompt = prompts[search.prompt]
        job = by_id[search.prompt]
        messages = conversation(job.item)
        result = composed(
            job.prompt_id,
            job.index,
            request,
            outcomes,
            model=model.ref,
            reward_model=reward_model[0] if reward_model else None,
            prompt_tokens=len(prompt),
            coherence=lambda text: coherence(messages, text) if coherence else None,
            nlls=measured_nll(model, prompt, answers, prefix=prefix) if nll else (),
        )
        report(result, outcomes)

    await run(
        searches,
        engine,
        judge,
        weighed,
        together=Together(request.method.batch_size, model.max_rows),
        on_iteration=lambda search, row, kept: callbacks.on_iteration(
            search.prompt, search.arm, row, kept
        ),
        on_end=on_end,
        on_question=lambda search: callbacks.on_question(search.prompt),
        pool=pool,
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


def shape_of(model: Model, prompt_id: str, request: JobRequest) -> Shape:
    """What the prompt's methods must know; baselines control as many tokens as the method does."""
    window = getattr(request.method, "window", None)
    limit = request.max_new_tokens
    return Shape(min(window or limit, limit), model.dim, limit, request.seed, prompt_id)
