"""Which candidate each criterion would pick, and which must be kept so that it can be said."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from prelogit.core.guard import Pick, Picks
from prelogit.core.records import Candidate, Iteration
from prelogit.search.stop import kl_of
from prelogit.wire.limits import Stop


class Picked(NamedTuple):
    """The best by the reward that steers, by the held-out one, and within ``stop.kl``."""

    reward: Candidate | None = None
    held_out: Candidate | None = None
    kl: Candidate | None = None


def picked(found: Sequence[Candidate], rows: Sequence[Iteration], stop: Stop) -> Picked:
    """What each criterion picks of these; of equals the one drawn first. Empty without a second one.

    Each is the best of all rounds where ``found`` has what it picked of the rounds before.
    """
    second = [c for c in found if c.held_out is not None]
    if not second and stop.kl is None:
        return Picked()
    kls = {row.k: kl_of(row) for row in rows}
    within = [c for c in found if _within(kls.get(c.iteration), stop.kl)]
    return Picked(
        min(found, key=_by_reward, default=None),
        min(second, key=lambda c: (-(c.held_out or 0.0), *_by_reward(c)), default=None),
        min(within, key=_by_reward, default=None),
    )


def picks(found: Sequence[Candidate], rows: Sequence[Iteration], stop: Stop) -> Picks | None:
    """The same as a result shows it; None without a second criterion."""
    kls = {row.k: kl_of(row) for row in rows}
    those = picked(found, rows, stop)
    if those == Picked():
        return None
    return Picks(
        **{
            name: None
            if one is None
            else Pick(
                iteration=one.iteration,
                sample=one.sample,
                reward=one.reward,
                held_out=one.held_out,
                kl=kls.get(one.iteration),
                text=one.text,
            )
            for name, one in those._asdict().items()
        }
    )


def _by_reward(candidate: Candidate) -> tuple[float, int, int]:
    return -candidate.reward, candidate.iteration, candidate.sample


def _within(kl: float | None, limit: float | None) -> bool:
    return limit is not None and kl is not None and kl <= limit
