"""Timing side by side: contenders take turns round by round, medians and paired ratios come out.

Peers that run one after the other meet another machine each: clocks, caches and neighbours
change within minutes. Here every round runs all of them, and a ratio is taken inside a round
before the median is taken over rounds. CPU time stands beside wall time, because on a shared
machine only the former belongs to the program.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch


class Timing(NamedTuple):
    """Seconds of wall time, and of CPU time over all threads of the process that did the work."""

    wall: float
    cpu: float

    def __add__(self, other: object) -> Timing:
        if not isinstance(other, Timing):
            return NotImplemented
        return Timing(self.wall + other.wall, self.cpu + other.cpu)

    def __sub__(self, other: Timing) -> Timing:
        return Timing(self.wall - other.wall, self.cpu - other.cpu)

    def times(self, factor: float) -> Timing:
        """Both scaled."""
        return Timing(self.wall * factor, self.cpu * factor)

    def over(self, other: Timing) -> Timing:
        """This divided by the other, wall by wall and CPU by CPU."""
        return Timing(_ratio(self.wall, other.wall), _ratio(self.cpu, other.cpu))


def _ratio(above: float, below: float) -> float:
    return above / below if below > 0 else float("nan")


def now() -> Timing:
    """The clocks, once the accelerator has finished what it was given."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
    return Timing(time.perf_counter(), time.process_time())


class Stopwatch:
    """Laps by name; a lap that is taken once a round has one entry a round."""

    def __init__(self) -> None:
        self.laps: dict[str, list[Timing]] = {}

    @contextmanager
    def lap(self, name: str) -> Iterator[None]:
        """Time what happens inside."""
        start = now()
        yield
        self.record(name, now() - start)

    def record(self, name: str, timing: Timing) -> None:
        """A lap that was timed elsewhere, for example in another process."""
        self.laps.setdefault(name, []).append(timing)

    def median(self, name: str) -> Timing:
        """Over the rounds; wall and CPU time apart."""
        return median(self.laps[name])


Contender = Callable[[Stopwatch], None]


def median(timings: Sequence[Timing]) -> Timing:
    """Wall and CPU time apart."""
    return Timing(
        statistics.median(one.wall for one in timings),
        statistics.median(one.cpu for one in timings),
    )


def paired(above: Sequence[Timing], below: Sequence[Timing]) -> Timing:
    """The median over rounds of above / below within a round."""
    return median([a.over(b) for a, b in zip(above, below, strict=True)])


def play(contenders: Sequence[Contender], rounds: int) -> Stopwatch:
    """Every contender once a round; the order turns, so that none always follows the same other."""
    watch = Stopwatch()
    for turn in range(rounds):
        first = turn % len(contenders)
        for contender in [*contenders[first:], *contenders[:first]]:
            contender(watch)
    return watch
