"""When a prompt's search may end before its last round, and why."""

from __future__ import annotations

from collections.abc import Sequence

from prelogit.core.records import Iteration, StopReason
from prelogit.wire.jobs import Stop


def why_stop(stop: Stop, rows: Sequence[Iteration], next_samples: int) -> StopReason | None:
    """The limit that ends the search after these rounds; None: go on.

    The first round always runs. What was stored before a resume counts. A round's samples are
    known before it is drawn, so that their budget is never exceeded; what it will cost in tokens
    and seconds is not, and the round that exceeds those, or the KL, is the last. Of several limits
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
    kl = kl_of(rows[-1])
    if stop.kl is not None and kl is not None and kl > stop.kl:
        return "kl"
    if stop.held_out is not None and _fallen(rows) >= stop.held_out:
        return "held_out"
    samples = sum(len(row.rewards) for row in rows)
    if stop.samples is not None and samples + next_samples > stop.samples:
        return "samples"
    if stop.tokens is not None and sum(row.tokens for row in rows) >= stop.tokens:
        return "tokens"
    spent = sum(row.seconds.decode + row.seconds.reward for row in rows)
    if stop.seconds is not None and spent >= stop.seconds:
        return "seconds"
    return None


def kl_of(row: Iteration) -> float | None:
    """KL (nats) of a round from the base model: of its tokens where it is measured, else of its noise."""
    if row.guided is not None and row.guided.token_exact is not None:
        return row.guided.token_exact
    return row.kl_gaussian if row.kl_token_exact is None else row.kl_token_exact


def _fallen(rows: Sequence[Iteration]) -> int:
    """For how many rounds in a row the best by the reward was, by the held-out one, no match for an
    earlier round's best: the reward stayed or rose, as it does, and the held-out one fell."""
    told = [row.held_out.of_best for row in rows if row.held_out is not None]
    count = 0
    for k in range(len(told) - 1, 0, -1):
        if told[k] >= max(told[:k]):
            break
        count += 1
    return count
