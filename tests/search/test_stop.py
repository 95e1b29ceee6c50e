from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prelogit.core.records import Iteration, Seconds
from prelogit.search.stop import why_stop
from prelogit.wire.jobs import Stop


def rounds(bests: Sequence[float], *, n: int = 4) -> list[Iteration]:
    made: list[Iteration] = []
    for k, best in enumerate(bests, start=1):
        so_far = max([best, *(row.best_so_far for row in made)])
        made.append(
            Iteration(
                k=k,
                mean=0.0,
                std=0.0,
                best=best,
                best_so_far=so_far,
                rewards=(best,) * n,
                weights=(1 / n,) * n,
                finish=("length",) * n,
                tokens=100,
                seconds=Seconds(decode=1.0, reward=0.5, wait=100.0),
            )
        )
    return made


@pytest.mark.parametrize(
    ("stop", "bests", "why"),
    [
        (Stop(), [1.0] * 50, None),
        (Stop(reward=2.0), [1.0, 1.9], None),
        (Stop(reward=2.0), [2.0, 0.0], "target"),
        (Stop(plateau=2), [3.0, 1.0], None),
        (Stop(plateau=2), [3.0, 1.0, 2.0], "plateau"),
        (Stop(plateau=2), [1.0, 1.0, 2.0], None),
        (Stop(plateau=2), [1.0, 2.0, 2.0], None),
        (Stop(samples=11), [1.0], None),
        (Stop(samples=11), [1.0, 1.0], "samples"),
        (Stop(samples=12), [1.0, 1.0], None),
        (Stop(tokens=200), [1.0], None),
        (Stop(tokens=200), [1.0, 1.0], "tokens"),
        (Stop(seconds=3.0), [1.0], None),
        (Stop(seconds=3.0), [1.0, 1.0], "seconds"),
        (Stop(reward=1.0, plateau=1, samples=1, tokens=1, seconds=1.0), [1.0, 1.0], "target"),
    ],
)
def test_the_limit_that_ends_a_search_is_named(
    stop: Stop, bests: list[float], why: str | None
) -> None:
    assert why_stop(stop, rounds(bests), 4) == why


def test_the_first_round_always_runs() -> None:
    stop = Stop(reward=-1e9, plateau=1, samples=1, tokens=1, seconds=1e-9)
    assert why_stop(stop, [], 4) is None


@settings(deadline=None)
@given(st.integers(1, 200), st.integers(1, 20))
def test_a_budget_of_samples_is_used_up_and_not_exceeded(budget: int, n: int) -> None:
    """But for the first round, and for a rest that is smaller than a round."""
    (row,) = rounds([1.0], n=n)
    done = 1
    while why_stop(Stop(samples=budget), [row] * done, n) is None:
        done += 1
    spent = n * done
    assert spent <= max(budget, n)
    assert spent > budget - n
