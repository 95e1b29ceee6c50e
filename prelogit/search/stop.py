"""When a prompt's search may end before its last round, and why."""

from __future__ import annotations

from collections.abc import Sequence

from prelogit.core.records import Iteration, StopReason
from prelogit.wire.jobs import Stop


def why_stop(stop: Stop, rows: Sequence[Iteration], next_samples: int) -> StopReason | None:
    """The limit that ends the search after these rounds; None: go on.

    The first round always runs. What was stored before a resume counts. A round's samples are
    known before it is drawn, so that their budget is never exceeded; what it will cost in tokens
    and seconds is not, and the round that exceeds those is the last. Of several limits
    reached at the same time the first one here is named.

    Args: next_samples: how many the next round would draw.
    """
    if not rows:
        return None
    best = rows[-1].best_so_far
    if stop.reward is not None and best >= stop.reward:
        return "target"
    plateau = stop.plateau
    if plateau is not None and len(rows) > plateau and best <= rows[-1 - plateau].best_so_far:
        return "plateau"
    samples = sum(len(row.rewards) for row in rows)
    if stop.samples is not None and samples + next_samples > stop.samples:
        return "samples"
    if stop.tokens is not None and sum(row.tokens for row in rows) >= stop.tokens:
        return "tokens"
    spent = sum(row.seconds.decode + row.seconds.reward for row in rows)
    if stop.seconds is not None and spent >= stop.seconds:
        return "seconds"
    return None
