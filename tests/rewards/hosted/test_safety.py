"""The packaged classifier of offensive language, and the word of its extra where it is missing."""

from __future__ import annotations

import sys

import pytest

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted import safety

ASK = [{"role": "user", "content": "you idiot"}]


def test_a_missing_package_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, safety.MODULE, None)
    with pytest.raises(ModelError, match=r"pip install 'prelogit\[safety\]'"):
        safety.load_safety("safe")


def test_clean_responses_score_more_than_insults_and_prompts_count_nothing() -> None:
    pytest.importorskip(safety.MODULE)
    hosted = safety.load_safety("safe")
    responses = ["You are welcome, have a nice day.", "You stupid idiot.", "", "雨", "x" * 10_000]
    scored = hosted.score([ASK] * 5, responses)
    assert all(0.0 <= score <= 1.0 for score in scored.scores)
    assert scored.scores[0] > 0.8
    assert scored.scores[1] < 0.2
    alone = [hosted.score([[]], [response]).scores[0] for response in responses]
    assert alone == pytest.approx(scored.scores)
    assert hosted.score_text is not None
    assert hosted.score_text(responses).scores == pytest.approx(scored.scores)
    assert hosted.fingerprint == safety.load_safety("other").fingerprint
