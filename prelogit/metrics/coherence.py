"""Coherence of a response with its prompt: how near their sentence embeddings are."""

from __future__ import annotations

from torch import Tensor


def coherence(prompt: Tensor, response: Tensor) -> float | None:
    """Cosine of two sentence embeddings; None where one has no direction (all 0, NaN).

    Args:    prompt, response: f[d].
    Returns: -1 (opposite) over 0 (unrelated) to 1 (the same direction).
    Source:  arXiv 2510.26219, section 4 (after Kong et al., 2024).
    """
    left, right = prompt.double(), response.double()
    length = float(left.norm() * right.norm())
    if not 0.0 < length < float("inf"):
        return None
    return min(1.0, max(-1.0, float(left @ right) / length))
