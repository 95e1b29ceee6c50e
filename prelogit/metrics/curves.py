"""How the reward rises with the samples, read from a trace."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from prelogit.core.records import Iteration
from prelogit.metrics.best_of import finite_rewards


class CurvePoint(NamedTuple):
    """After round k: what it scored, and what all rounds so far have cost."""

    k: int
    mean: float  # of the round's rewards
    best: float  # of the round
    best_so_far: float  # of all rounds up to it
    samples: int  # scored so far
    tokens: int  # generated so far
    seconds: float  # decoding and scoring so far, waiting not counted


def reward_curve(rows: Sequence[Iteration]) -> list[CurvePoint]:
    """One point a round; nothing for a trace without rounds.

    Made from the rewards themselves, so that it holds whichever way the rows were stored.
    Args:   rows: of one search, in their order (``trace.iterations``).
    Raises: InputError: a reward is not finite.
    Source: arXiv 2510.26219, Fig. 3 (mean at k, best at k, best so far).
    """
    points: list[CurvePoint] = []
    samples, tokens, seconds = 0, 0, 0.0
    for row in rows:
        rewards = finite_rewards(row.rewards)
        samples += len(rewards)
        tokens += row.tokens
        seconds += row.seconds.decode + row.seconds.reward
        best = max(rewards)
        points.append(
            CurvePoint(
                k=row.k,
                mean=sum(rewards) / len(rewards),
                best=best,
                best_so_far=max(best, points[-1].best_so_far) if points else best,
                samples=samples,
                tokens=tokens,
                seconds=seconds,
            )
        )
    return points
