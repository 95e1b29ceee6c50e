"""sigma2 "auto" of isotropic noise: a number that the model has, not the method."""

from __future__ import annotations

from typing import Any, Literal

from prelogit.core.errors import InputError
from prelogit.search.plan import Shape
from prelogit.wire.params import AISP, Drawn


def takes_the_models(params: Any) -> bool:
    """Whether these parameters ask for the model's own variance of isotropic noise."""
    match params:
        case AISP():
            return params.proposal == "mean" and params.sigma2 == "auto"
        case Drawn():
            return params.noise == "gaussian" and params.sigma2 == "auto"
        case _:
            return False


def variance_of(sigma2: float | Literal["auto"], shape: Shape) -> float:
    """The number that was given, or the model's own.

    Raises: InputError: the model's is wanted and not known.
    """
    if sigma2 != "auto":
        return sigma2
    if shape.sigma2 is None:
        raise InputError(
            'sigma2 "auto" is measured of the loaded model, and none was: give the number',
            field="method.sigma2",
        )
    return shape.sigma2
