"""Which faults come in which order: drawn from a seed and from nothing else."""

from __future__ import annotations

import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

Kind = Literal["kill", "stop", "delay", "drop", "reset"]

TO_PROCESSES: tuple[Kind, ...] = ("kill", "stop")
TO_LINKS: tuple[Kind, ...] = ("delay", "drop", "reset")


class Fault(NamedTuple):
    """One thing that goes wrong.

    gap_seconds: after the fault before; patient: it also waits until the searches have moved on,
    else it may hit a system that is still down. seconds: how long it lasts.
    """

    kind: Kind
    target: str
    seconds: float
    gap_seconds: float
    patient: bool


def draw(
    seed: int,
    count: int,
    *,
    processes: Sequence[str],
    links: Sequence[str],
    lease_seconds: float,
) -> list[Fault]:
    """So many faults. Every pair of kind and target comes before any comes again; those of workers
    come twice meanwhile.

    What is stopped is stopped for longer than a lease.
    """
    dice = random.Random(seed)
    pairs = [(kind, target) for target in processes for kind in TO_PROCESSES]
    pairs += [(kind, target) for kind, target in pairs if target.startswith("worker")]
    pairs += [(kind, target) for target in links for kind in TO_LINKS]
    deck: list[tuple[Kind, str]] = []
    faults = []
    for _ in range(count):
        if not deck:
            deck = dice.sample(pairs, len(pairs))
        kind, target = deck.pop()
        longest = {"kill": 2.0, "stop": 2.0}.get(kind, 4.0)
        seconds = dice.uniform(0.2, longest) + (lease_seconds if kind == "stop" else 0.0)
        faults.append(Fault(kind, target, seconds, dice.uniform(0.1, 1.5), dice.random() < 0.6))
    return faults
