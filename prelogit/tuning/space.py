"""The parameters that are tuned, and the values that each may take."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from prelogit.core.errors import InputError
from prelogit.evaluation.arms import fields_of, with_values, word
from prelogit.wire.params import Params

_SIGMA2 = (0.1, 0.3, 0.5, 0.7)
# By method, and its noise where it has one. AISP's are the paper's (arXiv 2510.26219, appendix C),
# "auto" beside them; of the others it names the parameters, and the values are ours.
GRIDS: dict[str, dict[str, tuple[Any, ...]]] = {
    "aisp": {
        "lambda": ("auto", 0.3, 0.5, 0.7),
        "sigma2": _SIGMA2,
        "alpha": (0.99, 0.999, 0.9999, 0.99999),
    },
    "bon": {"temperature": (0.4, 0.6, 0.8, 1.0), "top_p": (0.8, 0.9, 0.95, 1.0)},
    "bon:gaussian": {"sigma2": _SIGMA2},
    "soft_bon": {"lambda": ("auto", 0.1, 0.3, 1.0)},
    "sample": {"temperature": (0.4, 0.6, 0.8, 1.0), "top_p": (0.8, 0.9, 0.95, 1.0)},
    "args": {"weight": (0.5, 1.0, 1.5, 2.0)},
    "recontrol": {"learning_rate": (0.1, 0.3, 0.5, 1.0)},
}
_LOGARITHMIC = 10.0  # a range whose ends are so far apart is searched by its logarithm


class Choices(NamedTuple):
    """Values of a parameter, each as likely."""

    name: str
    values: tuple[Any, ...]


class Range(NamedTuple):
    """All numbers between two, both included."""

    name: str
    low: float
    high: float

    @property
    def log(self) -> bool:
        """Whether it is searched by the logarithm."""
        return self.low > 0 and self.high / self.low >= _LOGARITHMIC


Axis = Choices | Range


def axis_of(text: str) -> Axis:
    """``lambda=0.1,0.3`` as choices, ``lambda=0.1..3`` as a range.

    Raises: InputError: it is neither.
    """
    name, _, values = text.partition("=")
    if not name or not values:
        raise InputError(
            f"{text!r} is neither PARAMETER=VALUE,VALUE,… nor PARAMETER=LOW..HIGH", field="grid"
        )
    low, dots, high = values.partition("..")
    if not dots:
        return Choices(name, tuple(dict.fromkeys(word(value) for value in values.split(","))))
    try:
        ends = float(low), float(high)
    except ValueError as error:
        raise InputError(f"{text!r}: the ends of a range are numbers", field="grid") from error
    if not ends[0] < ends[1] or not all(map(math.isfinite, ends)):
        raise InputError(f"{text!r}: a range goes from the smaller to the larger", field="grid")
    return Range(name, *ends)


def axes_of(params: Params, texts: Sequence[str]) -> list[Axis]:
    """The axes that were asked for, else the method's own grid.

    Raises: InputError: the method has no such parameter or cannot have such a value; it has no
            grid of its own; a parameter stands twice.
    """
    axes = [axis_of(text) for text in texts] or _own(params)
    names = [axis.name for axis in axes]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise InputError(f"{twice} stands twice: give all its values at once", field="grid")
    for axis in axes:
        ends = axis.values if isinstance(axis, Choices) else (axis.low, axis.high)
        for value in ends:
            changed(params, {axis.name: value})
    return axes


def changed(params: Params, values: Mapping[str, Any]) -> Params:
    """
    Raises: InputError: the method cannot have these values.
    """
    return with_values(fields_of(params), values)


def grid(axes: Sequence[Axis]) -> Iterator[dict[str, Any]]:
    """Every combination, the last axis changing first.

    Raises: InputError: one of them is a range.
    """
    spans = [axis for axis in axes if isinstance(axis, Range)]
    if spans:
        raise InputError(
            f"{spans[0].name} is a range, and a grid needs values: list them, or --search optuna",
            field="grid",
        )
    listed = [axis for axis in axes if isinstance(axis, Choices)]
    for values in itertools.product(*(axis.values for axis in listed)):
        yield dict(zip((axis.name for axis in listed), values, strict=True))


def _own(params: Params) -> list[Axis]:
    noise = getattr(params, "noise", None)
    name = f"{params.name}:{noise}" if noise else params.name
    if name not in GRIDS:
        raise InputError(
            f"{name} has no grid of its own: say what to tune, as in --grid temperature=0.5,1",
            field="grid",
        )
    return [Choices(one, values) for one, values in GRIDS[name].items()]
