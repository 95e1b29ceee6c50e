"""Weighted sums of rewards: as they are, for each prompt, and what is refused."""

from __future__ import annotations

import math
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from statistics import fmean, pstdev
from typing import Any

import pytest

from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.rewards.hosted.derived import locked
from prelogit.rewards.hosted.ensemble import make_ensemble
from prelogit.rewards.hosted.function import host_function
from prelogit.rewards.hosted.reward import HostedReward, Scored

RESPONSES = ["a", "bbb", "cc", "dddd"]


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def length(conversations: Any, responses: Sequence[str]) -> list[float]:
    return [float(len(text)) for text in responses]


def vowels(conversations: Any, responses: Sequence[str]) -> list[float]:
    return [100.0 * sum(letter in "aeiou" for letter in text) for text in responses]


def hosted(function: Callable[..., Any], *, name: str | None = None, **more: Any) -> HostedReward:
    return host_function(function, name=name)._replace(**more)


def test_the_sum_is_weighted() -> None:
    both = make_ensemble("both", [(hosted(length), 2.0), (hosted(vowels), -0.5)])
    scored = both.score([user("q")] * 4, RESPONSES)
    assert scored.scores == [2.0 - 50.0, 6.0, 4.0, 8.0]
    assert scored.truncated is None
    assert both.score([user("q")], ["a"]).scores == [-48.0]
    assert not both.relative


def test_each_prompt_is_standardised_by_itself() -> None:
    both = make_ensemble("both", [(hosted(length), 1.0), (hosted(vowels), 3.0)], normalize="prompt")
    conversations = [user("one"), user("two"), user("one"), user("two"), user("one")]
    responses = ["a", "bbb", "eee", "cc", "dddd"]
    found = both.score(conversations, responses).scores

    def standardised(values: list[float], place: int) -> float:
        return (values[place] - fmean(values)) / pstdev(values)

    lengths, counts = [1.0, 3.0, 4.0], [100.0, 300.0, 0.0]
    expected = [standardised(lengths, i) + 3 * standardised(counts, i) for i in range(3)]
    assert [found[place] for place in (0, 2, 4)] == pytest.approx(expected)
    # In "two" no response has a vowel: a tie of one member is 0 and leaves the other's order.
    assert [found[1], found[3]] == pytest.approx([1.0, -1.0])
    assert both.relative
    assert both.low is None


def test_ties_everywhere_are_zeros_and_not_noise() -> None:
    def same(conversations: Any, responses: Sequence[str]) -> list[float]:
        return [0.1 + 0.2] * (len(responses) - 1) + [0.3]

    both = make_ensemble("both", [(hosted(same), 1.0)], normalize="prompt")
    assert both.score([user("q")] * 4, RESPONSES).scores == [0.0] * 4


def test_a_lone_response_cannot_be_compared_and_is_no_zero() -> None:
    both = make_ensemble("both", [(hosted(length), 1.0)], normalize="prompt")
    with pytest.raises(InputError, match=r"conversation 2 has one .* normalize to \"none\""):
        both.score([user("a"), user("a"), user("b")], ["x", "y", "z"])


def test_nonsense_of_a_member_is_refused_by_its_name() -> None:
    def broken(conversations: Any, responses: Sequence[str]) -> Scored:
        return Scored([math.nan] * len(responses), [0] * len(responses))

    bad = hosted(length, name="bad", score=broken)
    both = make_ensemble("both", [(hosted(length), 1.0), (bad, 1.0)], normalize="prompt")
    with pytest.raises(RewardAnswerError, match=r"'bad', a member of an ensemble: .* nan"):
        both.score([user("q")] * 2, ["a", "b"])


def test_what_is_known_of_all_members_is_known_of_the_ensemble() -> None:
    def whole(texts: Sequence[Any]) -> Scored:
        return Scored([1.0] * len(texts), [7] * len(texts), [True] + [False] * (len(texts) - 1))

    bounded = hosted(length, name="a", low=-10.0, high=10.0, score_text=whole)
    clean = hosted(vowels, name="b", low=0.0, high=1.0, score_text=whole)
    both = make_ensemble("both", [(bounded, 0.5), (clean, -2.0)])
    assert (both.low, both.high) == (-7.0, 5.0)
    assert both.score_text is not None
    scored = both.score_text(["x", "y"])
    assert scored == Scored([-1.5, -1.5], [14, 14], [True, False])
    with pytest.raises(InputError, match="not token ids"):
        both.score_text([[1, 2]])
    assert make_ensemble("n", [(bounded, 1.0)], normalize="prompt").score_text is None
    assert make_ensemble("n", [(bounded, 1.0), (hosted(length), 1.0)]).score_text is None
    assert make_ensemble("n", [(bounded, 1.0), (hosted(length), 1.0)]).low is None


def test_the_fingerprint_is_made_of_its_members() -> None:
    one, two = hosted(length), hosted(vowels)
    makes: list[tuple[list[Any], str]] = [
        ([(one, 1.0), (two, 1.0)], "none"),
        ([(one, 1.0), (two, 2.0)], "none"),
        ([(one, 1.0), (two, 1.0)], "prompt"),
        ([(one, 1.0)], "none"),
    ]
    prints = [make_ensemble("e", m, normalize=n).fingerprint for m, n in makes]  # type: ignore[arg-type]
    assert len({*prints, one.fingerprint, two.fingerprint}) == 6
    assert make_ensemble("other", makes[0][0]).fingerprint == prints[0]
    unknown = hosted(length, fingerprint=None)
    assert make_ensemble("e", [(unknown, 1.0), (two, 1.0)]).fingerprint is None


def test_a_locked_reward_is_never_called_twice_at_a_time() -> None:
    inside, most = 0, 0
    guard = threading.Lock()

    def counting(conversations: Any, responses: Sequence[str]) -> list[float]:
        nonlocal inside, most
        with guard:
            inside += 1
            most = max(most, inside)
        threading.Event().wait(0.01)
        with guard:
            inside -= 1
        return [0.0] * len(responses)

    safe = locked(hosted(counting))
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda _: safe.score([user("q")], ["a"]), range(8)))
    assert most == 1
    assert safe.score_text is None
