"""A call in parts is the call: same items, same order, no part too large."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from prelogit.rewards.requests import bodies

texts = st.text(max_size=20)
items = st.lists(st.tuples(texts, texts), max_size=20)


@given(items, st.integers(1, 5), st.integers(1, 400), st.none() | texts)
def test_parts_joined_are_the_call(
    pairs: list[tuple[str, str]], most: int, size: int, reward: str | None
) -> None:
    conversations = [[{"role": "user", "content": prompt}] for prompt, _ in pairs]
    responses = [response for _, response in pairs]
    parts = list(bodies(reward, conversations, responses, items=most, size=size))
    read = [json.loads(part.body) for part in parts]
    assert [each for part in read for each in part["conversations"]] == conversations
    assert [each for part in read for each in part["responses"]] == responses
    assert all(part.get("reward") == reward for part in read)
    assert [part.responses for part in parts] == [len(part["responses"]) for part in read]
    for part in parts:
        assert 1 <= part.responses <= most
        assert part.responses == 1 or len(part.body) <= size + 200 + 12 * most


def test_half_a_surrogate_pair_is_sent_as_a_question_mark() -> None:
    (part,) = bodies(None, [[{"role": "user", "content": "a"}]], ["b\ud800"], items=4, size=99)
    assert json.loads(part.body)["responses"] == ["b?"]
