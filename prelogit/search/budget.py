"""Where the rounds of several prompts go that share one budget: to those that promise most.

Each prompt gets its first rounds. What is left is granted in waves; a wave is decided once every
prompt has run what it was granted. All of it is a function of the trace's rows, so that a search
that goes on after a break goes on as it would have gone on without it, whichever prompt was faster.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence
from typing import NamedTuple

from prelogit.core.records import Iteration

# Of what is left, the part that a wave hands out: later waves know more, but each of them waits.
_PART = 0.5
# A second round of the same wave is granted on the same knowledge, so it promises less.
_AGAIN = 0.5
# Rewards may have other last bits in another batch; gains that are nearly equal count as equal.
_DIGITS = 6


class Standing(NamedTuple):
    """How far a prompt's search is.

    rows: of the trace so far. most: rounds that it can have, by its method and ``stop``.
    over: it gets no more of them. aside: rounds that are kept for it, whether it runs them or not.
    """

    rows: Sequence[Iteration]
    most: int
    over: bool = False
    aside: int = 0


def expected_gain(rows: Sequence[Iteration]) -> float:
    """How much one more sample raises the best reward, on average, if it is like the last rounds'.

    E max(r - best, 0) for a normal r of the last two rounds' mean and spread, n samples each.

    Returns: in units of the reward.
    Source: Jones, Schonlau and Welch, 1998, "Efficient Global Optimization", Eq. 15.
    """
    last, best = rows[-2:], rows[-1].best_so_far
    mean = math.fsum(row.mean for row in last) / len(last)
    spread = math.sqrt(math.fsum(row.std**2 + (row.mean - mean) ** 2 for row in last) / len(last))
    if spread == 0.0:
        return 0.0
    z = (mean - best) / spread
    above = math.erfc(-z / math.sqrt(2)) / 2
    density = math.exp(-z * z / 2) / math.sqrt(2 * math.pi)
    return max(0.0, spread * (z * above + density))


def first_rounds(rounds: int, prompts: int) -> int:
    """Rounds that every prompt has before any is preferred: 3/4 of its even share, at least one.

    Fewer would judge a search before it has begun to climb (docs/decisions/0016).
    """
    return max(1, 3 * (rounds // prompts) // 4)


def allowances(standings: Sequence[Standing], rounds: int) -> list[int]:
    """How many rounds each prompt may have had when the wave under way is over.

    Where a prompt that is not over has fewer, that wave is under way; else the budget is spent, or
    nothing more is to be gained. Every wave is decided anew, from the rows that were there then.

    Args:    rounds: what all may have together.
    Returns: in the order of ``standings``; together with what is set aside no more than ``rounds``,
             but for rows that are there already.
    """
    if not standings:
        return []
    first = first_rounds(rounds, len(standings))
    granted = [min(first, one.most) for one in standings]
    # Its first rounds are a prompt's own, also where it failed in them and will be tried again.
    aside = [max(one.aside, own) for one, own in zip(standings, granted, strict=True)]
    while all(one.over or len(one.rows) >= g for one, g in zip(standings, granted, strict=True)):
        had = [min(len(one.rows), g) for one, g in zip(standings, granted, strict=True)]
        more = grants(
            [
                Standing(one.rows[:g], one.most if len(one.rows) >= g else 0)
                for one, g in zip(standings, granted, strict=True)
            ],
            rounds - sum(map(max, had, aside)),
        )
        if not any(more):
            break
        granted = [g + m for g, m in zip(granted, more, strict=True)]
    return _within(standings, granted, aside, rounds)


def grants(standings: Sequence[Standing], rounds: int) -> list[int]:
    """More rounds of the next wave, for each prompt; zeros where nothing is left, or to be gained.

    Gains count in units of the first rounds' spread. Among equals goes first who has had fewer
    rounds, then who stands first. Nothing goes to a prompt all of whose last rewards tie.

    Args: standings: each with one row at least, or with none to come. rounds: what is left of all.
    """
    found = [0] * len(standings)
    spread = math.fsum(one.rows[0].std for one in standings if one.rows) / len(standings)
    queue = []
    for place, one in enumerate(standings):
        if one.most > len(one.rows) and one.rows[-1].std > 0.0:
            promise = round(expected_gain(one.rows) / spread, _DIGITS) if spread > 0 else 0.0
            queue.append((-promise, len(one.rows), place))
    heapq.heapify(queue)
    wave = math.ceil(rounds * _PART)
    while wave > 0 and queue:
        promise, had, place = heapq.heappop(queue)
        found[place] += 1
        wave -= 1
        if had + 1 < standings[place].most:
            heapq.heappush(queue, (promise * _AGAIN, had + 1, place))
    return found


def _within(
    standings: Sequence[Standing], granted: Sequence[int], aside: Sequence[int], rounds: int
) -> list[int]:
    """Fewer where more is spent than the waves know of: a prompt that is tried again after it
    failed begins anew, while the others have had what it left."""
    floors = [max(len(one.rows), own) for one, own in zip(standings, aside, strict=True)]
    spare = rounds - sum(floors)
    found = []
    for one, wanted, floor in zip(standings, granted, floors, strict=True):
        more = 0 if one.over else max(0, min(wanted - floor, spare))
        spare -= more
        found.append(min(wanted, floor + more))
    return found
