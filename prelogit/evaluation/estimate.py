"""A mean over prompts with its standard error; the seeds of a prompt are averaged first."""

from __future__ import annotations

import statistics
from collections.abc import Iterable
from typing import NamedTuple


class Estimate(NamedTuple):
    """``se`` is None with fewer than two prompts."""

    mean: float
    se: float | None
    prompts: int

    def __str__(self) -> str:
        return f"{self.mean:.3f}" if self.se is None else f"{self.mean:.3f} ± {self.se:.3f}"


def estimate(values: Iterable[tuple[str, float | None]]) -> Estimate | None:
    """Of (prompt id, value) pairs, values that are None left out; None where none is left.

    Seeds of one prompt are no independent draws of prompts, so the error is that over prompts.
    """
    by_prompt: dict[str, list[float]] = {}
    for prompt, value in values:
        if value is not None:
            by_prompt.setdefault(prompt, []).append(value)
    means = [statistics.fmean(found) for found in by_prompt.values()]
    if not means:
        return None
    se = statistics.stdev(means) / len(means) ** 0.5 if len(means) > 1 else None
    return Estimate(statistics.fmean(means), se, len(means))
