"""Diversity of one text: how seldom it repeats its n-grams."""

from __future__ import annotations

from collections.abc import Sequence


def diversity(tokens: Sequence[int]) -> float | None:
    """Product over n = 2, 3, 4 of distinct n-grams / n-grams; None for fewer than 4 tokens.

    Source: arXiv 2510.26219, section 4 (after Kong et al., 2024).
    """
    if len(tokens) < 4:
        return None
    product = 1.0
    for size in (2, 3, 4):
        grams = [tuple(tokens[i : i + size]) for i in range(len(tokens) - size + 1)]
        product *= len(set(grams)) / len(grams)
    return product


def mean_diversity(texts: Sequence[Sequence[int]]) -> float | None:
    """Mean of the texts that have one; None where none has."""
    told = [value for value in map(diversity, texts) if value is not None]
    return sum(told) / len(told) if told else None
