"""How often a judge prefers one set of answers, each pair shown to it in both orders.

Judges favour a place: many prefer whichever answer stands first. So a win counts only where both
orders agree, and what the places are worth is told beside it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

Choice = Literal["first", "second", "tie"]
Outcome = Literal["win", "tie", "loss", "unparsed"]

_Z = 1.959963984540054  # two-sided 95% of a normal distribution
_PLACE = {"first": 1.0, "second": -1.0, "tie": 0.0}
_WORTH = {"win": 1.0, "tie": 0.5, "loss": 0.0}


class BothOrders(NamedTuple):
    """What a judge chose of one pair, by the place where the answer stood. None: not to be read."""

    forward: Choice | None  # our answer stood first
    backward: Choice | None  # our answer stood second


class WinRate(NamedTuple):
    """Numbers of many pairs; None where there are too few pairs for a number.

    ``win_rate`` = (wins + ties / 2) / (wins + ties + losses); ``low`` and ``high`` are Wilson's 95%
    interval of it, which ties make wider than need be. ``split`` ties are pairs of which the judge
    chose the same place twice. ``position_bias``: the mean over pairs of choices of the first
    place minus the second's, from 1 (always the first) over 0 to -1.
    """

    pairs: int
    wins: int
    ties: int
    losses: int
    unparsed: int
    split: int
    win_rate: float | None
    win_rate_se: float | None
    low: float | None
    high: float | None
    position_bias: float | None
    position_bias_se: float | None


def outcome(pair: BothOrders) -> Outcome:
    """Win: our answer was chosen in both orders; loss: the other was; tie: anything else.

    Never a tie, though, where one of the two cannot be read.
    Source: arXiv 2306.05685, section 3.4 (swapping positions, the conservative way).
    """
    match pair:
        case (None, _) | (_, None):
            return "unparsed"
        case ("first", "second"):
            return "win"
        case ("second", "first"):
            return "loss"
        case _:
            return "tie"


def win_rate(pairs: Sequence[BothOrders]) -> WinRate:
    """Counts and rates of all pairs; those that cannot be read are counted and go into no rate."""
    outcomes = [outcome(pair) for pair in pairs]
    worth = [_WORTH[one] for one in outcomes if one != "unparsed"]
    places = [
        (_PLACE[pair.forward] + _PLACE[pair.backward]) / 2
        for pair in pairs
        if pair.forward is not None and pair.backward is not None
    ]
    rate, rate_se = _mean(worth)
    bias, bias_se = _mean(places)
    low, high = wilson(rate, len(worth)) if rate is not None else (None, None)
    return WinRate(
        pairs=len(pairs),
        wins=outcomes.count("win"),
        ties=outcomes.count("tie"),
        losses=outcomes.count("loss"),
        unparsed=outcomes.count("unparsed"),
        split=sum(abs(place) == 1 for place in places),
        win_rate=rate,
        win_rate_se=rate_se,
        low=low,
        high=high,
        position_bias=bias,
        position_bias_se=bias_se,
    )


def wilson(share: float, count: int) -> tuple[float, float]:
    """The 95% score interval of a share of ``count`` trials, from 0 to 1 also where all agree.

    Source: Wilson (1927), Journal of the American Statistical Association 22, 209-212.
    """
    weight = _Z * _Z / count
    middle = share + weight / 2
    spread = _Z * math.sqrt(share * (1 - share) / count + weight / (4 * count))
    low, high = (middle - spread) / (1 + weight), (middle + spread) / (1 + weight)
    return min(share, max(0.0, low)), max(share, min(1.0, high))


def _mean(values: Sequence[float]) -> tuple[float | None, float | None]:
    """Mean and its standard error; None for none, and for the error of one."""
    count = len(values)
    if not count:
        return None, None
    mean = math.fsum(values) / count
    if count == 1:
        return mean, None
    spread = math.fsum((value - mean) ** 2 for value in values) / (count - 1)
    return mean, math.sqrt(spread / count)
