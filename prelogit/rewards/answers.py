"""What counts as an answer: as many finite numbers as were asked for, in order. Torch-free."""

from __future__ import annotations

import math
from collections.abc import Sequence
from numbers import Real

from prelogit.core.errors import RewardAnswerError

NONSENSE = "urn:prelogit:problem:reward-answer"
"""Problem type of a score that cannot be trusted: unlike other 502s, asking again is no use."""

LONGEST_SHOWN = 80


def finite(values: object, count: int, *, first: int = 0) -> list[float]:
    """Whatever a reward answered, as ``count`` finite floats.

    Numbers of NumPy and torch are taken as well as Python's; larger is better.
    Args:    first: place of the first one in the whole call, for the error.
    Returns: the values in their order.
    Raises:  RewardAnswerError: another count, or something that is not a finite number
             (booleans, text, None, NaN, infinities); names the first bad place.
    """
    items = _as_list(values)
    numbers = []
    for place, item in enumerate(items[:count]):
        number = _number(item)
        if number is None:
            raise RewardAnswerError(
                f"the reward of response {first + place} is {_shown(item)}, not a finite number: "
                "a reward must be one finite number for each response"
            )
        numbers.append(number)
    if len(items) != count:
        raise RewardAnswerError(
            f"{len(items)} rewards came back for {count} responses: "
            "a reward must answer with exactly one number for each response, in their order"
        )
    return numbers


def _as_list(values: object) -> list[object]:
    """The answer as a list of whatever it holds; arrays and tensors become Python numbers."""
    if hasattr(values, "tolist"):
        values = values.tolist()
    if isinstance(values, (str, bytes)) or not isinstance(values, Sequence):
        raise RewardAnswerError(
            f"the rewards came as {type(values).__name__}, not as a list of numbers: "
            "answer with one number for each response"
        )
    return list(values)


def _number(value: object) -> float | None:
    """The finite number that a value is, None when it is something else."""
    if getattr(value, "ndim", None) == 0 and hasattr(value, "item"):
        value = value.item()  # a zero-dimensional array or tensor
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        number = float(value)
    except OverflowError:  # an integer beyond the largest float
        return None
    return number if math.isfinite(number) else None


def _shown(value: object) -> str:
    """A short form of a bad value, safe to print."""
    if isinstance(value, int) and not isinstance(value, bool):
        return "an integer beyond the largest float"  # its digits may be refused by str()
    text = repr(value) if isinstance(value, (str, float, bool, type(None))) else None
    if text is None:
        return f"of type {type(value).__name__}"
    return text if len(text) <= LONGEST_SHOWN else text[:LONGEST_SHOWN] + "…"
