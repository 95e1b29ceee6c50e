"""When a prompt's search may end before its last round."""

from __future__ import annotations

from collections.abc import Sequence

from prelogit.core.records import Iteration
from prelogit.wire.jobs import Stop


def should_stop(stop: Stop, rows: Sequence[Iteration]) -> bool:
    """Whether any limit is reached after these rounds; what was stored before a resume counts."""
    if not rows:
        return False
    best = rows[-1].best_so_far
    if stop.reward is not None and best >= stop.reward:
        return True
    plateau = stop.plateau
    if plateau is not None and len(rows) > plateau and best <= rows[-1 - plateau].best_so_far:
        return True
    if stop.tokens is not None and sum(row.tokens for row in rows) >= stop.tokens:
        return True
    spent = sum(row.seconds.decode + row.seconds.reward for row in rows)
    return stop.seconds is not None and spent >= stop.seconds
