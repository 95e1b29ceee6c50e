"""What guards a search against its own reward: a second one that does not steer, and what each criterion picks."""

from __future__ import annotations

from prelogit.core.record import Record


class HeldOut(Record):
    """What the held-out reward says of a round; it never steers.

    ``of_best``: of the candidate that is the best so far by the reward that steers, ``best_so_far``
    the highest of all rounds up to this one. ``rewards``: one for each candidate, in their order.
    """

    mean: float
    best: float
    of_best: float
    best_so_far: float
    rewards: tuple[float, ...]


class Pick(Record):
    """The candidate that a criterion picks; ``kl`` is its round's, as ``stop.kl`` reads it."""

    iteration: int
    sample: int
    reward: float
    held_out: float | None = None
    kl: float | None = None
    text: str


class Picks(Record):
    """The best by the reward that steers, by the held-out one, and by the reward that steers among
    the rounds within ``stop.kl``; None where there is no such criterion, or no such round."""

    reward: Pick | None = None
    held_out: Pick | None = None
    kl: Pick | None = None
