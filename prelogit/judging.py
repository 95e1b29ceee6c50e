"""Judge pairs of answers, each in both orders, many at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import NamedTuple

from prelogit.data.pairs import Pair
from prelogit.metrics.win_rate import BothOrders
from prelogit.rewards.judge import Judge, Verdict


class Judged(NamedTuple):
    """A pair with what was said of it; ``forward``: the left answer stood first."""

    pair: Pair
    forward: Verdict
    backward: Verdict

    @property
    def choices(self) -> BothOrders:
        """What goes into the win rate of the left answers."""
        return BothOrders(self.forward.choice, self.backward.choice)


async def judge_pairs(
    judge: Judge,
    pairs: Sequence[Pair],
    *,
    requests_at_once: int = 8,
    on_judged: Callable[[int, Judged], None] = lambda place, judged: None,
) -> list[Judged]:
    """Two requests a pair, at most ``requests_at_once`` of them open.

    Args:    on_judged: told each pair, with its place, as soon as both orders are known.
    Returns: all pairs in their order.
    Raises:  RewardError: the judge is silent or refuses; the other requests are given up.
    """
    places = asyncio.Semaphore(requests_at_once)

    async def ask(pair: Pair, first: str, second: str) -> Verdict:
        async with places:
            return await judge(pair.turns, first, second)

    async def both(place: int, pair: Pair) -> Judged:
        async with asyncio.TaskGroup() as group:
            forward = group.create_task(ask(pair, pair.left, pair.right))
            backward = group.create_task(ask(pair, pair.right, pair.left))
        judged = Judged(pair, forward.result(), backward.result())
        on_judged(place, judged)
        return judged

    try:
        async with judge, asyncio.TaskGroup() as group:
            tasks = [group.create_task(both(*numbered)) for numbered in enumerate(pairs)]
    except BaseExceptionGroup as failed:  # one reason is enough
        raise _first(failed) from None
    return [task.result() for task in tasks]


def _first(failed: BaseException) -> BaseException:
    while isinstance(failed, BaseExceptionGroup):
        failed = failed.exceptions[0]
    return failed
