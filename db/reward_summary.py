"""What a job's prompts have won so far: mean rewards and margins, added up by the database."""

from __future__ import annotations

import math
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session

from db.models import BaselineRow, JobRow, ResultRow
from prelogit.wire.jobs import Counts
from prelogit.wire.summary import BaselineSummary, RewardSummary


def reward_summary(session: Session, job: JobRow, counts: Counts) -> RewardSummary:
    """Mean rewards of the prompts that have succeeded, and the margins over each baseline."""
    best = first = None
    by_arm = {}
    if counts.succeeded:
        best, first = session.execute(_means_query(), {"job": job.id}).one()
        if job.settings["baselines"]:
            by_arm = {row.arm: row for row in session.execute(_margins_query(), {"job": job.id})}
    summaries = []
    for arm, params in enumerate(job.settings["baselines"], start=1):
        row = by_arm.get(arm)
        summaries.append(
            BaselineSummary(
                name=params["name"],
                noise=params.get("noise"),
                mean=row and row.mean,
                margin=row and row.margin,
                margin_se=row and _standard_error(row.squares, row.pairs),
                expected_margin=row and row.expected,
                expected_margin_se=row
                and _standard_error(row.expected_squares, row.expected_pairs),
            )
        )
    return RewardSummary(mean_best=best, mean_first=first, baselines=summaries)


# As in db.views, statements are made once.
@cache
def _means_query() -> Select[float, float]:
    return select(func.avg(ResultRow.reward), func.avg(ResultRow.first_mean)).where(
        ResultRow.job_id == bindparam("job"), ResultRow.succeeded
    )


@cache
def _margins_query() -> Select[Any]:
    """Of each arm: mean reward, and of both margins the mean, the squares around it and the count."""
    mine = BaselineRow.job_id == bindparam("job")
    means = (
        select(
            BaselineRow.arm,
            func.avg(BaselineRow.reward).label("mean"),
            func.avg(BaselineRow.margin).label("margin"),
            func.avg(BaselineRow.expected_margin).label("expected"),
        )
        .where(mine)
        .group_by(BaselineRow.arm)
        .subquery()
    )
    of = means.c
    # In two passes: a sum of squares minus a square loses all digits of a small spread.
    off, off_expected = BaselineRow.margin - of.margin, BaselineRow.expected_margin - of.expected
    return (
        select(
            of.arm,
            of.mean,
            of.margin,
            func.sum(off * off).label("squares"),
            func.count(BaselineRow.margin).label("pairs"),
            of.expected,
            func.sum(off_expected * off_expected).label("expected_squares"),
            func.count(BaselineRow.expected_margin).label("expected_pairs"),
        )
        .join(means, of.arm == BaselineRow.arm)
        .where(mine)
        .group_by(of.arm, of.mean, of.margin, of.expected)
    )


def _standard_error(squares: float | None, count: int) -> float | None:
    """Of a mean of ``count`` numbers, from the sum of squares around it; None for fewer than two."""
    return math.sqrt((squares or 0.0) / (count - 1) / count) if count > 1 else None
