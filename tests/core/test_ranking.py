"""Which candidate is the answer."""

from __future__ import annotations

from typing import Any

from prelogit.core.ranking import chosen, distinct, rank
from prelogit.core.records import Candidate, Iteration, Seconds


def candidate(iteration: int, sample: int, reward: float, text: str = "") -> Candidate:
    return Candidate(
        iteration=iteration,
        sample=sample,
        token_ids=(1,),
        text=text or f"{iteration}.{sample}",
        reward=reward,
        finish_reason="stop",
    )


def row(k: int, **more: Any) -> Iteration:
    return Iteration(
        k=k, mean=0, std=0, best=0, best_so_far=0, rewards=(0,), weights=(1,), finish=("stop",),
        tokens=1, seconds=Seconds(), **more,
    )  # fmt: skip


FOUND = [candidate(1, 0, 1.0), candidate(1, 1, 3.0), candidate(2, 0, 2.0), candidate(2, 1, 3.0)]


def test_without_a_choice_the_best_is_the_answer_and_of_equals_the_first_drawn() -> None:
    assert chosen([row(1), row(2)]) is None
    assert rank(FOUND[::-1], [row(1), row(2)]) == [FOUND[1], FOUND[3], FOUND[2], FOUND[0]]


def test_what_the_method_chose_last_comes_first() -> None:
    rows = [row(1, chosen=1), row(2, chosen=0)]
    assert chosen(rows) == (2, 0)
    assert rank(FOUND, rows) == [FOUND[2], FOUND[1], FOUND[3], FOUND[0]]
    assert rank(FOUND, [*rows, row(3)])[0] == FOUND[2]


def test_a_copy_of_the_answer_is_no_second_answer() -> None:
    copies = [candidate(1, 0, 1.0, "a"), candidate(1, 1, 2.0, "b"), candidate(1, 2, 1.5, "a")]
    ranked = rank(copies, [row(1, chosen=0)])
    assert distinct(ranked) == [copies[0], copies[1]]
