"""Any reward less its length: beyond what is free, by token or character, over the whole response."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted.classifier import load_classifier
from prelogit.rewards.hosted.embedding import load_embedding
from prelogit.rewards.hosted.function import host_function
from prelogit.rewards.hosted.length_penalty import with_length_penalty

ASK = [{"role": "user", "content": "does it rain?"}]


def ten(conversations: Any, responses: Sequence[str]) -> list[float]:
    return [10.0] * len(responses)


def test_characters_beyond_the_free_ones_cost() -> None:
    hosted = with_length_penalty(host_function(ten), weight=0.5, free=3, per="character")
    scored = hosted.score([ASK] * 4, ["", "abc", "abcd", "雨" * 10])
    assert scored.scores == [10.0, 10.0, 9.5, 6.5]


def test_tokens_are_those_of_the_reward_and_of_the_response_alone(llama_folder: Path) -> None:
    plain = load_classifier("rm", model=str(llama_folder), max_tokens=40)
    hosted = with_length_penalty(plain, weight=0.01, free=2)
    long = "rain " * 20  # one token a letter: 100, of which the reward reads less
    raw, less = (
        plain.score([ASK] * 3, ["a", "abcde", long]),
        hosted.score([ASK] * 3, ["a", "abcde", long]),
    )
    lost = [a - b for a, b in zip(raw.scores, less.scores, strict=True)]
    assert lost == pytest.approx([0.0, 0.03, 0.98])
    assert less.truncated == [False, False, True]
    assert hosted.score_text is None
    assert hosted.fingerprint not in (None, plain.fingerprint)
    assert "0.01 for each token beyond 2" in hosted.description


def test_an_embedding_has_a_tokenizer_and_a_bound_only_above() -> None:
    plain = load_embedding()
    hosted = with_length_penalty(plain, weight=1.0)
    assert (hosted.low, hosted.high) == (None, 10.0)
    raw, less = plain.score([ASK], ["It rains."]), hosted.score([ASK], ["It rains."])
    assert raw.scores[0] - less.scores[0] == pytest.approx(3.0)  # it, rains, full stop


def test_tokens_of_a_reward_without_a_tokenizer_are_refused() -> None:
    with pytest.raises(ModelError, match='"per": "character"'):
        with_length_penalty(host_function(ten), weight=1.0)


def test_the_fingerprint_knows_each_setting() -> None:
    plain = host_function(ten)
    prints = {
        with_length_penalty(plain, **{"weight": 1.0, "per": "character", **more}).fingerprint
        for more in ({}, {"weight": 2.0}, {"free": 1})
    }
    assert len({*prints, plain.fingerprint}) == 4
