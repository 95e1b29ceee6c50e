"""Make an answer again from its stored trace, and say whether it is the same."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, NamedTuple

from prelogit.core.errors import InputError, MemoryShortError
from prelogit.core.records import Candidate, Trace
from prelogit.engine.engine import Engine
from prelogit.engine.load import Model
from prelogit.methods import METHODS
from prelogit.rewards.protocol import Score
from prelogit.search.guiding import ended
from prelogit.search.plan import Choice, Question, Rollouts, SearchId, Shape, TopK
from prelogit.solve import prompt_tokens, texts_of
from prelogit.text import conversation
from prelogit.value.use import Values, net_for
from prelogit.weighing import weigh
from prelogit.wire.jobs import JobRequest, PromptItem


class Replayed(NamedTuple):
    """The answer that the trace leads to, beside the one that was stored."""

    text: str
    token_ids: tuple[int, ...]
    same: bool  # token for token
    first_difference: int | None  # place of the first other token, from 0


def replay_result(
    model: Model,
    item: PromptItem,
    request: JobRequest,
    trace: Trace,
    stored: Candidate,
    reward: Score | None = None,
) -> Replayed:
    """Rebuild the mean of the candidate's round from the trace and decode that round anew.

    Args:    request: as the job stores it. stored: the candidate to compare with. reward: the job's,
             for a method that picks every token by it.
    Raises:  MemoryShortError. InputError: the trace ends before the candidate's round, or is of another
             model width; or its method names a value network that is not there, or needs the reward.
             RewardError: it does not answer.
    """
    params: Any = METHODS[trace.method["name"]].params.model_validate(trace.method)
    method = METHODS[params.name]
    if len(trace.iterations) < stored.iteration:
        raise InputError("the trace ends before the candidate's iteration", field="trace")
    if trace.dim is not None and trace.dim != model.dim:
        raise InputError(
            f"the trace was made with pre-logits of width {trace.dim}, {model.name} has {model.dim}: "
            "load the job's model",
            field="model",
        )
    window = trace.window or request.max_new_tokens
    value = net_for(params, Values(), model=model.ref, dim=model.dim, seed=request.seed)
    sigma2 = trace.iterations[0].sigma2
    shape = Shape(
        window, model.dim, request.max_new_tokens, trace.seed, trace.prompt_id, value, sigma2
    )
    state = method.restore(trace.iterations[: stored.iteration - 1], params, shape)
    plan = method.ask(state, params)
    if plan is None:
        raise InputError("the trace is longer than its method's rounds", field="trace")
    engine, search = model.engine(), SearchId(trace.prompt_id)
    engine.admit(search.prompt, prompt_tokens(model, item, request))
    if isinstance(plan.pick, TopK) and reward is None:
        raise InputError(
            f"{params.name} picks every token by the reward, so a replay needs it", field="reward"
        )

    def choose(question: Question) -> Choice:
        # Where the answer was cut, by a budget or a cancel, so is this one.
        if stored.finish_reason == "length" and question.step > len(stored.token_ids):
            return ended(question)
        assert reward is not None  # noqa: S101 - seen above
        assert method.choose is not None  # noqa: S101 - its plan asks
        weighed = asyncio.run(weigh(reward, model.tokenizer, conversation(item), question))
        return method.choose(state, question, weighed.rewards, params)

    engine.add(search, plan)
    rollouts = _decoded(engine, choose)
    length = int(rollouts.length[stored.sample])
    ids = tuple(rollouts.token_ids[stored.sample, :length].tolist())
    pairs = zip(ids, stored.token_ids, strict=False)
    differs = next((i for i, (a, b) in enumerate(pairs) if a != b), None)
    if differs is None and len(ids) != len(stored.token_ids):
        differs = min(len(ids), len(stored.token_ids))
    return Replayed(texts_of(model, rollouts)[stored.sample], ids, differs is None, differs)


def _decoded(engine: Engine, choose: Callable[[Question], Choice]) -> Rollouts:
    """The engine's one plan, decoded to its end."""
    while True:
        for _, came in engine.step():
            if isinstance(came, Question):
                engine.answer(came, choose(came))
            elif isinstance(came, MemoryShortError):
                raise came
            else:
                return came
