"""Scores that are remembered are those that would be computed, and cost nothing."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.rewards.hosted.reward import HostedReward, Scored
from reward_service.loading import load
from reward_service.memory import Memory, key_of, remembering, score_anew
from reward_service.settings import RewardSettings
from reward_service.specs import (
    ClassifierSpec,
    EmbeddingSpec,
    EnsembleSpec,
    FunctionSpec,
    LengthPenalty,
)
from tests.rewards.conftest import save_llama


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


class Lengths:
    """A reward that cuts texts longer than 3, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def __call__(self, conversations: Sequence[Any], responses: Sequence[str]) -> Scored:
        for place, (conversation, response) in enumerate(
            zip(conversations, responses, strict=True)
        ):
            if response == "bad":
                raise InputError(f"response {place}", field=f"responses[{place}]")
            assert conversation
        self.asked += responses
        scores = [
            float("nan") if text == "nan" else len(text) + 100.0 * len(turns[0]["content"])
            for turns, text in zip(conversations, responses, strict=True)
        ]
        return Scored(scores, [len(text) for text in responses], [len(t) > 3 for t in responses])


def host(score: Any, *, fingerprint: str | None = "f", **more: Any) -> HostedReward:
    return HostedReward("test", "classifier", "", fingerprint, None, None, score, **more)


calls = st.lists(
    st.lists(st.tuples(st.sampled_from("pq"), st.text("ab", max_size=5)), max_size=6), max_size=8
)


@given(calls, st.integers(1, 6))
def test_the_answer_is_that_of_the_reward_whatever_was_asked_before(
    asked: list[list[tuple[str, str]]], items: int
) -> None:
    lengths, memory = Lengths(), Memory(items)
    hosted = remembering(host(lengths), memory)
    for pairs in asked:
        conversations, responses = [user(p) for p, _ in pairs], [text for _, text in pairs]
        found, real = hosted.score(conversations, responses), Lengths()(conversations, responses)
        assert found.scores == real.scores
        assert (found.truncated or []) == real.truncated
        assert all(cost in (0, full) for cost, full in zip(found.tokens, real.tokens, strict=True))
        assert len(memory) <= items


def test_what_is_known_is_not_scored_again_and_costs_no_tokens() -> None:
    lengths, memory = Lengths(), Memory(10)
    hosted = remembering(host(lengths), memory)
    hosted.score([user("p")] * 2, ["a", "bbbb"])
    again = hosted.score([user("p"), user("p"), user("qq"), user("p")], ["bbbb", "cc", "a", "a"])
    assert lengths.asked == ["a", "bbbb", "cc", "a"]
    cut = [True, False, False, False]
    assert again == Scored([104.0, 102.0, 201.0, 101.0], [0, 2, 1, 0], cut, [4, 2, 1, 1])
    assert hosted.score([user("p")], ["bbbb"]) == Scored([104.0], [0], [True], [4])


def test_what_is_asked_for_anew_is_scored_again_and_kept() -> None:
    lengths = Lengths()
    hosted = remembering(host(lengths), Memory(9))
    asked = [user("p")], ["a"]
    assert hosted.score(*asked).tokens == [1]
    assert score_anew(hosted.score, *asked) == Scored([101.0], [1], [False], [1])
    assert hosted.score(*asked).tokens == [0]
    assert lengths.asked == ["a", "a"]


def test_the_score_that_was_not_used_for_longest_goes_first() -> None:
    lengths = Lengths()
    hosted = remembering(host(lengths), Memory(2))
    for text in ("a", "bb", "a", "ccc", "a", "bb"):
        hosted.score([user("p")], [text])
    assert lengths.asked == ["a", "bb", "ccc", "bb"]


def test_a_number_that_is_not_finite_is_asked_for_again() -> None:
    lengths = Lengths()
    hosted = remembering(host(lengths), Memory(9))
    for _ in range(2):
        hosted.score([user("p")] * 2, ["nan", "a"])
    assert lengths.asked == ["nan", "a", "nan"]


def test_a_refusal_names_the_place_in_the_request() -> None:
    hosted = remembering(host(Lengths()), Memory(9))
    hosted.score([user("p")] * 2, ["a", "bb"])
    with pytest.raises(InputError) as refused:
        hosted.score([user("p")] * 4, ["a", "ccc", "bb", "bad"])
    assert refused.value.field == "responses[3]"


def test_another_count_is_never_mixed_with_what_is_known() -> None:
    def twice(conversations: Sequence[Any], responses: Sequence[str]) -> Scored:
        count = 1 if responses == ["a"] else 2
        return Scored([1.0] * count, [0] * count)

    hosted = remembering(host(twice), Memory(9))
    hosted.score([user("p")], ["a"])
    with pytest.raises(RewardAnswerError, match="2 scores for 1"):
        hosted.score([user("p")] * 2, ["a", "b"])


def test_rewards_do_not_take_each_others_scores() -> None:
    memory = Memory(9)
    first, second = Lengths(), Lengths()
    remembering(host(first, fingerprint="f"), memory).score([user("p")], ["a"])
    remembering(host(second, fingerprint="g"), memory).score([user("p")], ["a"])
    assert first.asked == second.asked == ["a"]


def test_no_two_conversations_have_one_key() -> None:
    two = [{"role": "user", "content": "a"}, {"role": "user", "content": "b"}]
    asked = [
        ("f", user("ab"), "c"),
        ("f", user("a"), "bc"),
        ("f", user("abc"), ""),
        ("f", two, "c"),
        ("f", [{"role": "system", "content": "ab"}], "c"),
        ("fu", [{"role": "ser", "content": "ab"}], "c"),
    ]
    assert len({key_of(*each) for each in asked}) == len(asked)


def test_what_depends_on_the_call_or_has_no_fingerprint_is_left_alone() -> None:
    memory = Memory(9)
    for hosted in (host(Lengths(), fingerprint=None), host(Lengths(), relative=True)):
        assert remembering(hosted, memory) is hosted


def test_functions_and_ensembles_of_them_are_asked_each_time(
    write_module: Callable[[str], str], tmp_path: Path
) -> None:
    module = write_module(
        "count = [0]\ndef score(conversations, responses):\n"
        "    count[0] += 1\n    return [float(count[0])] * len(responses)\n"
    )
    memory = Memory(99)
    function = load(
        FunctionSpec(name="f", kind="function", path=f"{module}:score"), None, {}, memory
    )
    folder = str(save_llama(tmp_path / "m"))
    model = load(ClassifierSpec(name="m", kind="classifier", model=folder), None, {}, memory)
    members = {"f": function, "m": model}
    spec = EnsembleSpec(name="both", kind="ensemble", members={"f": 1.0, "m": 0.0})
    both = load(spec, None, members, memory)
    assert [function.score([user("p")], ["a"]).scores for _ in range(2)] == [[1.0], [2.0]]
    found = [both.score([user("p")], ["a"]) for _ in range(2)]
    assert [each.scores for each in found] == [[3.0], [4.0]]
    assert [each.tokens > [0] for each in found] == [True, False]  # but the model's score is kept


def test_a_model_with_a_penalty_in_the_service_answers_the_same_with_and_without(
    serving: Callable[..., Any], tmp_path: Path
) -> None:
    folder = str(save_llama(tmp_path / "m"))
    specs = (
        ClassifierSpec(name="rm", kind="classifier", model=folder, max_tokens=40),
        ClassifierSpec(
            name="brief",
            kind="classifier",
            model=folder,
            max_tokens=40,
            length_penalty=LengthPenalty(weight=0.5),
        ),
        EmbeddingSpec(name="relevance", kind="embedding"),
    )
    texts = ["yes", "no", "and then it rained and rained all night.", "yes", "maybe"]
    bodies = [
        {"reward": spec.name, "conversations": [user("q")] * len(part), "responses": part}
        for spec in specs
        for part in (texts[:3], texts, texts)
    ]

    def answers(items: int) -> list[dict[str, Any]]:
        chosen = RewardSettings(rewards=specs, reward_cache_items=items, reward_threads=1)
        with serving(chosen) as service:
            found = [service.http.post("/v1/score", json=body).json() for body in bodies]
            again = [
                service.http.post("/v1/score", json=body, headers={"cache-control": "no-cache"})
                for body in bodies[2::3]
            ]
        assert all(each.json()["tokens"] > 0 for each in again)
        return found

    plain, kept = answers(0), answers(1000)
    for with_it, without in zip(kept, plain, strict=True):
        assert with_it["scores"] == pytest.approx(without["scores"], abs=1e-5)
        for field in ("truncated", "fingerprint", "reward"):
            assert with_it[field] == without[field]
    assert plain[1]["truncated"] == [False, False, True, False, False]
    assert [each["tokens"] for each in kept[2::3]] == [0, 0, 0]
    assert all(each["tokens"] > 0 for each in plain)


def test_a_score_takes_little_memory() -> None:
    tracemalloc.start()
    memory = Memory(20_000)
    before = tracemalloc.get_traced_memory()[0]
    for place in range(30_000):
        memory.keep([(key_of("f", user("p"), str(place)), (place / 7, False, place))])
    taken = tracemalloc.get_traced_memory()[0] - before
    tracemalloc.stop()
    assert len(memory) == 20_000
    assert taken < 400 * 20_000
