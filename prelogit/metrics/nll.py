"""How unlikely the model by itself finds a text, a token: low is fluent to it, high is not."""

from __future__ import annotations

import math

from torch import Tensor
from torch.nn.functional import cross_entropy


def token_nll(logits: Tensor, token_ids: Tensor) -> Tensor:
    """-log P of each token, in nats.

    Args:    logits: f[T, V], those that precede each token, as the model makes them: scaled and
             capped where it scales and caps. token_ids: i64[T].
    Returns: f64[T], from a softmax in float32.
    """
    return cross_entropy(logits.float(), token_ids, reduction="none").double()


def mean_nll(nll: Tensor) -> float | None:
    """The mean of f64[T] token by token; its exponential is the perplexity.

    Returns: None for no token, and where a token has no finite one.
    """
    if not len(nll):
        return None
    mean = math.fsum(nll.tolist()) / len(nll)
    return mean if math.isfinite(mean) else None
