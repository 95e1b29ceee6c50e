"""A pool's part of a job's budget, as far as the prompts that are searched here may use it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from prelogit.core.records import Iteration
from prelogit.search.budget import first_rounds
from prelogit.wire.jobs import JobRequest
from prelogit.wire.limits import pool_rounds, round_samples

Rows = Mapping[str, Sequence[Iteration]]  # of the job's method, by prompt id


class Share(NamedTuple):
    """What the prompts of a pool may have together.

    rounds: of all. most: rounds of one by its method. samples: n of a round. places: of each prompt
    in the job, for ties. ended: those whose search has ended before.
    """

    rounds: int
    most: int
    samples: int
    places: Mapping[str, int]
    ended: Rows


def share_of(
    request: JobRequest,
    places: Mapping[str, int],
    *,
    prompts: int,
    ended: Rows | None = None,
    elsewhere: Rows | None = None,
) -> Share | None:
    """The pool's part of the budget; None for a job without one.

    Prompts that another worker has, or will have, keep their even share, and so do those that are
    searched here then: nobody knows what the others will hand on.

    Args: places: of all prompts of the pool. prompts: of the job.
    """
    budget, method = request.budget, request.method
    if budget is None:
        return None
    ended, elsewhere = ended or {}, elsewhere or {}
    members = len(places)
    rounds = pool_rounds(budget, method, prompts=prompts, members=members)
    if elsewhere:
        even, first = rounds // members, first_rounds(rounds, members)
        theirs = sum(max(len(rows), even) for rows in elsewhere.values())
        theirs += sum(max(len(rows), first) for rows in ended.values())
        here = members - len(ended) - len(elsewhere)
        rounds, ended = max(0, min(here * even, rounds - theirs)), {}
    return Share(rounds, method.rounds, round_samples(method), places, ended)
