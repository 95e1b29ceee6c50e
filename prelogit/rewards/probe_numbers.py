"""What two scorings of the same texts say about each other."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import NamedTuple

from prelogit.wire.probe import ProbeDifference, ProbeSaturation, ProbeScale

ROUNDING = 1e-6  # differences below, of numbers around 1, are no differences
CROWDED = 0.02  # of the range: so near to an end a reward counts as standing there
_COMMON = ((0.0, 1.0), (-1.0, 1.0))


class Gap(NamedTuple):
    """Differences between two lists of rewards.

    sorted_: the largest between both in order of size. It is far below ``largest`` where the same
    numbers came back in other places.
    """

    largest: float
    rms: float
    sorted_: float
    texts: int

    def told(self, std: float) -> ProbeDifference:
        relative = self.largest / std if std > 0 else None
        return ProbeDifference(largest=self.largest, relative=relative, texts=self.texts)


def gap(one: Sequence[float], other: Sequence[float]) -> Gap:
    pairs = list(zip(one, other, strict=True))
    ordered = zip(sorted(one), sorted(other), strict=True)
    return Gap(
        largest=max(abs(a - b) for a, b in pairs),
        rms=math.sqrt(statistics.fmean((a - b) ** 2 for a, b in pairs)),
        sorted_=max(abs(a - b) for a, b in ordered),
        texts=len(pairs),
    )


def misplaced(found: Gap, std: float) -> bool:
    """The same numbers came back, at other places: that is no noise.

    A single pair that changed places counts, if its rewards are far enough from each other.
    """
    return found.largest > 0.5 * std > 0 and found.sorted_ < 0.15 * found.largest


def scale(rewards: Sequence[float]) -> ProbeScale:
    return ProbeScale(
        mean=statistics.fmean(rewards),
        std=statistics.pstdev(rewards),
        low=min(rewards),
        high=max(rewards),
        distinct=len(set(rewards)),
    )


def rounding(found: ProbeScale) -> float:
    """What is no difference between numbers of this size."""
    return ROUNDING * max(1.0, abs(found.mean))


def alike(found: ProbeScale) -> bool:
    """All texts have the same reward, but for rounding."""
    return found.high - found.low <= rounding(found)


def saturation(
    rewards: Sequence[float], bounds: tuple[float, float] | None
) -> ProbeSaturation | None:
    """Within the bounds that the reward tells, else within those that activations have."""
    within = [bounds] if bounds is not None else list(_COMMON)
    for low, high in within:
        if low <= min(rewards) and max(rewards) <= high:
            near = CROWDED * (high - low)
            at_an_end = [one for one in rewards if one <= low + near or one >= high - near]
            return ProbeSaturation(low=low, high=high, crowded=len(at_an_end) / len(rewards))
    return None
