"""Pairs judged in both orders by a server that really answers."""

from __future__ import annotations

import threading

import pytest

from prelogit.core.errors import RewardAnswerError
from prelogit.data.pairs import Pair
from prelogit.judging import Judged, judge_pairs
from prelogit.metrics.win_rate import win_rate
from prelogit.rewards.caller import Patience
from prelogit.rewards.judge import Judge
from tests.judges import Reply, likes_the_first, likes_the_longer, running

TURNS = [{"role": "user", "content": "?"}]
PAIRS = [Pair(f"p{i}", TURNS, "long " * i, "just short") for i in range(1, 7)]


@pytest.fixture
def quick() -> Patience:
    return Patience(20.0, 60.0, 0.001)


async def test_a_fair_judge_decides_whatever_the_order(quick: Patience) -> None:
    told: list[tuple[int, Judged]] = []
    with running(likes_the_longer) as server:
        judged = await judge_pairs(
            Judge(server.url, "wise", patience=quick),
            PAIRS,
            requests_at_once=3,
            on_judged=lambda place, one: told.append((place, one)),
        )
    assert [one.pair for one in judged] == PAIRS
    assert sorted(told) == list(enumerate(judged))
    found = win_rate([one.choices for one in judged])
    # "long " is 5 characters: two of them tie with the other's 10.
    assert (found.wins, found.ties, found.losses) == (4, 1, 1)
    assert (found.position_bias, found.split) == (0.0, 0)
    assert len(server.seen) == 12


async def test_a_judge_of_places_gives_ties_and_is_found_out(quick: Patience) -> None:
    with running(likes_the_first) as server:
        judged = await judge_pairs(Judge(server.url, "wise", patience=quick), PAIRS)
    found = win_rate([one.choices for one in judged])
    assert (found.win_rate, found.position_bias, found.split) == (0.5, 1.0, 6)


async def test_nonsense_errors_and_busy_answers_among_good_ones(quick: Patience) -> None:
    """Every third request fails for now; of one pair the judge talks nonsense in one order."""

    def moody(first: str, second: str, count: int) -> Reply:
        if count % 3 == 0:
            return Reply(status=(429, 500)[count % 2])
        if first == PAIRS[3].left:
            return Reply("Both are lovely.")
        return likes_the_longer(first, second, count)

    with running(moody) as server:
        judged = await judge_pairs(Judge(server.url, "wise", patience=quick), PAIRS)
    found = win_rate([one.choices for one in judged])
    assert (found.wins, found.ties, found.losses, found.unparsed) == (3, 1, 1, 1)
    assert judged[3].forward.said == "Both are lovely."
    assert len(server.seen) > 12


async def test_a_judge_that_refuses_ends_it_with_the_reason(quick: Patience) -> None:
    def refuse(first: str, second: str, count: int) -> Reply:
        return Reply(status=404, error="the model `wise` does not exist")

    missing = pytest.raises(RewardAnswerError, match="`wise` does not exist")
    with running(refuse) as server, missing:
        await judge_pairs(Judge(server.url, "wise", patience=quick), PAIRS)


async def test_no_more_requests_are_open_than_allowed(quick: Patience) -> None:
    third = threading.Event()

    def waiting_for_a_third(first: str, second: str, count: int) -> Reply:
        if server.open > 2:
            third.set()
        third.wait(0.03)
        return likes_the_longer(first, second, count)

    with running(waiting_for_a_third) as server:
        await judge_pairs(Judge(server.url, "wise", patience=quick), PAIRS, requests_at_once=2)
    assert server.most_open == 2
    assert not third.is_set()
