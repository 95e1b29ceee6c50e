"""Effective sample size of importance weights."""

from __future__ import annotations

from torch import Tensor


def effective_sample_size(weights: Tensor) -> float:
    """How many equally weighted samples the weights are worth: 1 / sum of squares.

    Args:    weights: f64[n], sums to 1.
    Returns: between 1 and n.
    """
    return float(1.0 / weights.double().square().sum())
