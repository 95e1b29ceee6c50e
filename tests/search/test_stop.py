from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.guard import HeldOut
from prelogit.core.records import Guided, Iteration, Seconds
from prelogit.search.stop import kl_of, why_stop
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


def watched(of_bests: Sequence[float]) -> list[Iteration]:
    """Rounds whose reward rises, and what the held-out one says of the best so far."""
    return [
        row.model_copy(
            update={
                "held_out": HeldOut(
                    mean=-9.0, best=9.0, of_best=value, best_so_far=9.0, rewards=(value,) * 4
                )
            }
        )
        for row, value in zip(rounds(range(len(of_bests))), of_bests, strict=True)
    ]


@pytest.mark.parametrize(
    ("after", "of_bests", "why"),
    [
        (1, [0.0], None),
        (1, [1.0, 0.9], "held_out"),
        (1, [1.0, 1.0], None),
        (1, [1.0, 1.1], None),
        (2, [1.0, 0.9], None),
        (2, [1.0, 0.9, 0.95], "held_out"),  # it rises again, but not to where it was
        (2, [1.0, 0.9, 1.0], None),
        (2, [1.0, 0.9, 1.0, 0.9], None),
        (2, [1.0, 0.0, 2.0, 1.5, 1.9], "held_out"),
        (3, [5.0, 1.0, 2.0, 3.0], "held_out"),
    ],
)
def test_a_search_whose_held_out_reward_has_fallen_ends(
    after: int, of_bests: list[float], why: str | None
) -> None:
    assert why_stop(Stop(held_out=after), watched(of_bests), 4) == why
    assert why_stop(Stop(), watched(of_bests), 4) is None
    assert why_stop(Stop(held_out=after), rounds(range(len(of_bests))), 4) is None


@given(st.lists(st.integers(0, 3), min_size=1, max_size=9), st.integers(1, 3))
def test_it_falls_round_by_round(of_bests: list[int], after: int) -> None:
    below = [value < max(of_bests[:k], default=value) for k, value in enumerate(of_bests)]
    ended = len(below) >= after and all(below[-after:])
    found = why_stop(Stop(held_out=after), watched(of_bests), 4)
    assert found == ("held_out" if ended else None)


@pytest.mark.parametrize(
    ("told", "kl"),
    [
        ({}, None),
        ({"kl_gaussian": 3.0}, 3.0),
        ({"kl_gaussian": 3.0, "kl_token_exact": 0.0}, 0.0),
        ({"kl_token_sampled": 3.0}, None),
        ({"guided": Guided(scored_partials=1, token_exact=2.0)}, 2.0),
        ({"guided": Guided(scored_partials=1)}, None),
    ],
)
def test_the_kl_that_is_limited_is_of_the_tokens_where_it_is_known(
    told: dict[str, object], kl: float | None
) -> None:
    (row,) = rounds([1.0])
    row = row.model_copy(update=told)
    assert kl_of(row) == kl
    over = kl is not None and kl > 2.0
    assert why_stop(Stop(kl=2.0), [row], 4) == ("kl" if over else None)
    assert why_stop(Stop(kl=0.0), [row], 4) == ("kl" if kl else None)
