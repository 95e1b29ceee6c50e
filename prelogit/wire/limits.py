"""When searches may end early: the limits of one prompt, and the budget of a whole job."""

from __future__ import annotations

from typing import Annotated, TypeVar

from pydantic import Field

from prelogit.wire.params import MethodParams, Params, Positive
from prelogit.wire.strict import Strict

_Method = TypeVar("_Method", bound=MethodParams)

# Prompts that share a budget: so many times those that are decoded together.
POOL = 4


class Stop(Strict):
    """When a prompt's search may end early; None means never.

    reward: once the best reward reaches it. plateau: after so many rounds in a row without a
    better candidate. samples: at most so many, whole rounds and at least one. seconds, tokens:
    budgets of one prompt, decoding and scoring counted; the round that exceeds them is the last.
    kl: nats from the model without steering; likewise. held_out: after so many rounds in a row whose
    best so far the held-out reward finds worse than that of an earlier round.
    """

    reward: Annotated[float, Field(allow_inf_nan=False)] | None = None
    plateau: Annotated[int, Field(ge=1)] | None = None
    samples: Annotated[int, Field(ge=1)] | None = None
    seconds: Positive | None = None
    tokens: Annotated[int, Field(ge=1)] | None = None
    held_out: Annotated[int, Field(ge=1)] | None = None
    kl: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None = None


class Budget(Strict):
    """What the method may draw for all prompts of a job together; baselines do not count.

    samples: at most so many, in whole rounds. Each prompt gets its first rounds; then the samples
    go where another round promises most, and prompts on a plateau hand theirs on.
    """

    samples: Annotated[int, Field(ge=1)]


def round_samples(method: Params) -> int:
    """n: candidates of one round."""
    return method.samples // method.rounds


def refusal(budget: Budget, method: Params, prompts: int) -> str | None:
    """Why a job of so many prompts cannot have the budget; None: it can."""
    if method.rounds == 1:
        return (
            f"the method {method.name} has one round, so there is nothing to hand on: leave budget "
            "out, or take aisp"
        )
    n = round_samples(method)
    if budget.samples < prompts * n:
        return (
            f"samples is {budget.samples:,}, which is less than one round of {n:,} for each of "
            f"{prompts:,} prompts: raise it to {prompts * n:,} or more, or lower method.n"
        )
    return None


def even_rounds(budget: Budget, method: Params, prompts: int) -> int:
    """Rounds of a prompt where the budget is spread evenly."""
    return budget.samples // (prompts * round_samples(method))


def stretched(method: _Method, rounds: int) -> _Method:
    """With room for half as many rounds more, unless the method says itself how many."""
    if "iterations" in method.model_fields_set or "iterations" not in type(method).model_fields:
        return method
    # An iteration more is drawn from the final proposal.
    return method.model_copy(update={"iterations": max(1, rounds + rounds // 2 - 1)})


def pool_size(prompts: int, batch_size: int) -> int:
    """Prompts that share their part of the budget: all, or equal parts of them in a large job."""
    pools = -(-prompts // (POOL * batch_size))
    return -(-prompts // pools)


def pool_rounds(budget: Budget, method: Params, *, prompts: int, members: int) -> int:
    """Rounds that so many of a job's prompts may have together."""
    return budget.samples * members // prompts // round_samples(method)
