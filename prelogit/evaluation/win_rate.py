"""How often a judge prefers a method's answers to a reference's."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from prelogit.data.pairs import Pair
from prelogit.evaluation.arms import Arm
from prelogit.evaluation.store import Run, Store, Task
from prelogit.metrics.win_rate import outcome
from prelogit.text import conversation

if TYPE_CHECKING:
    from prelogit.judging import Judged
    from prelogit.rewards.judge import Judge

_WORTH = {"win": 1.0, "tie": 0.5, "loss": 0.0}


def measure_name(reference: Arm, judge: str) -> str:
    """What the store calls a judge's words on answers beside the reference's."""
    return f"win rate over {reference.key} by {judge}"


def judges_of(reference: Arm, store: Store) -> list[str]:
    """Names of the judges whose words on this reference are known."""
    head = measure_name(reference, "")
    return [name.removeprefix(head) for name in store.measure_names if name.startswith(head)]


def unjudged(
    tasks: Sequence[Task], reference: Arm, judge: str, store: Store
) -> list[tuple[Run, Pair]]:
    """Each answer that was not compared with the reference's to the same prompt, seed and reward."""
    found = []
    for task in tasks:
        if task.arm.key == reference.key:
            continue
        for entry in task.entries:
            mine = store.run(task, entry)
            theirs = store.run(task._replace(arm=reference), entry)
            if mine is None or theirs is None:
                continue
            if store.measure(mine, measure_name(reference, judge)) is None:
                left, right = mine.result.response or "", theirs.result.response or ""
                pair = Pair(mine.result.prompt_id, conversation(entry.item), left, right)
                found.append((mine, pair))
    return found


def judge_answers(
    judge: Judge,
    waiting: Sequence[tuple[Run, Pair]],
    reference: Arm,
    store: Store,
    *,
    requests_at_once: int = 8,
    on_judged: Callable[[], None] = lambda: None,
) -> int:
    """Ask about each in both orders, and keep every verdict at once: 1 a win, 1/2 a tie, 0 a loss.

    Returns: how many could not be read; they are asked again the next time.
    Raises:  RewardError: the judge is silent or refuses.
    """
    from prelogit.judging import judge_pairs

    name, unread = measure_name(reference, judge.model), 0

    def hear(place: int, judged: Judged) -> None:
        nonlocal unread
        said = outcome(judged.choices)
        if said == "unparsed":
            unread += 1
        else:
            store.add_measure(waiting[place][0], name, _WORTH[said])
        on_judged()

    pairs = [pair for _, pair in waiting]
    asyncio.run(judge_pairs(judge, pairs, requests_at_once=requests_at_once, on_judged=hear))
    return unread
