"""What a job says of its rewards: the means over its prompts, and by how much each baseline is beaten."""

from __future__ import annotations

from pydantic import BaseModel


class BaselineSummary(BaseModel):
    """A baseline over all finished prompts; margin = mean paired difference, method minus baseline.

    ``expected_margin``: the same of the results' ``expected_margin``, over those that have one. Each
    with its standard error, None with fewer than two prompts.
    """

    name: str
    noise: str | None = None
    mean: float | None
    margin: float | None
    margin_se: float | None
    expected_margin: float | None = None
    expected_margin_se: float | None = None


class RewardSummary(BaseModel):
    """Mean over the finished prompts: of the answer's reward, and of the first round's mean reward."""

    mean_best: float | None = None
    mean_first: float | None = None
    baselines: list[BaselineSummary] = []
