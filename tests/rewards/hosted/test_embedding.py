"""The reward "relevance" with the real MiniLM: published values, no effect of the batch, said cuts."""

from __future__ import annotations

import random
import shutil
from pathlib import Path
from typing import Any

import pytest

from prelogit.core.errors import InputError, ModelError
from prelogit.rewards.hosted import embedding
from prelogit.rewards.hosted.embedding import load_embedding, packaged_model
from prelogit.rewards.load import load_reward

PUBLISHED = {  # sentence-transformers' documentation of all-MiniLM-L6-v2
    ("The weather is lovely today.", "It's so sunny outside!"): 0.6660,
    ("The weather is lovely today.", "He drove to the stadium."): 0.1046,
    ("It's so sunny outside!", "He drove to the stadium."): 0.1411,
}
WORDS = ["sleep", "early", "dark", "quiet", "room", "coffee", "screens", "walk", "read", "calm"]


def user(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="session")
def relevance() -> Any:
    return load_embedding()


def test_scores_are_ten_times_the_published_cosines(relevance: Any) -> None:
    scored = relevance.score([user(a) for a, _ in PUBLISHED], [b for _, b in PUBLISHED])
    assert scored.scores == pytest.approx([10 * cosine for cosine in PUBLISHED.values()], abs=6e-4)
    assert scored.truncated == [False, False, False]


def test_the_same_text_is_ten_and_an_unrelated_one_is_far_below(relevance: Any) -> None:
    same, near, far = relevance.score(
        [user("How do I sleep better?")] * 3,
        ["How do I sleep better?", "Go to bed early, avoid screens.", "Stocks fell on Monday."],
    ).scores
    assert same == pytest.approx(10.0, abs=1e-5)
    assert same <= 10.0
    assert far + 2 < near < same


def test_the_prompt_is_the_last_user_turn(relevance: Any) -> None:
    talk = [
        {"role": "system", "content": "You are a pirate."},
        *user("What is the capital of France?"),
        {"role": "assistant", "content": "Paris."},
        *user("And how do I bake bread?"),
    ]
    only_system = [{"role": "system", "content": "And how do I bake bread?"}]
    scored = relevance.score(
        [talk, user("And how do I bake bread?"), only_system], ["Knead the dough."] * 3
    ).scores
    assert scored == pytest.approx([scored[0]] * 3, abs=1e-5)


def test_a_score_does_not_depend_on_what_else_is_scored(relevance: Any) -> None:
    chance = random.Random(0)
    responses = [
        " ".join(chance.choices(WORDS, k=chance.choice([0, 1, 3, 12, 40]))) for _ in range(70)
    ]
    prompts = [user("How do I sleep better?" if place % 2 else "Coffee?") for place in range(70)]
    together = relevance.score(prompts, responses).scores
    alone = [
        relevance.score([prompt], [response]).scores[0]
        for prompt, response in zip(prompts, responses, strict=True)
    ]
    assert together == pytest.approx(alone, abs=1e-5)
    order = chance.sample(range(70), 70)
    shuffled = relevance.score([prompts[p] for p in order], [responses[p] for p in order]).scores
    assert shuffled == pytest.approx([together[place] for place in order], abs=1e-5)


@pytest.mark.parametrize("text", ["", " ", "\n", "\u200b", "�", "🙂", "\x00"])
def test_an_empty_or_odd_response_has_a_finite_score(relevance: Any, text: str) -> None:
    (score,) = relevance.score([user("How do I sleep better?")], [text]).scores
    assert -10.0 <= score <= 10.0


def test_what_lies_beyond_256_tokens_is_not_read_and_that_is_said(relevance: Any) -> None:
    long = "sleep " * 254  # and two special tokens: exactly the limit
    scored = relevance.score(
        [user("Sleep?"), user("Sleep?"), user("Sleep?"), user(long + "x")],
        [long, long + "and then", long + "stocks " * 500, "Sleep."],
    )
    assert scored.truncated == [False, True, True, True]
    assert scored.scores[:3] == pytest.approx([scored.scores[0]] * 3, abs=1e-5)
    assert scored.tokens[0] == 256 + 4


def test_a_text_that_repeats_is_embedded_and_counted_once(
    relevance: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[str] = []
    embed = embedding.embed

    def watched(embedder: Any, texts: Any) -> Any:
        seen.extend(texts)
        return embed(embedder, texts)

    monkeypatch.setattr(embedding, "embed", watched)
    scored = relevance.score([user("Sleep?")] * 4, ["Go to bed.", "Read.", "Read.", "Sleep?"])
    assert sorted(seen) == ["Go to bed.", "Read.", "Sleep?"]
    assert scored.tokens[2:] == [0, 0]
    assert scored.scores[1] == scored.scores[2]


def test_a_conversation_without_messages_is_refused_by_its_place(relevance: Any) -> None:
    with pytest.raises(InputError, match="conversation 1") as refused:
        relevance.score([user("a"), []], ["b", "c"])
    assert refused.value.field == "conversations[1]"


async def test_load_reward_relevance_is_the_same_reward_in_this_process(relevance: Any) -> None:
    scored = await load_reward("relevance")([user("Sleep?")], ["Go to bed."])
    direct = relevance.score([user("Sleep?")], ["Go to bed."])
    assert scored.rewards.tolist() == pytest.approx(direct.scores, abs=1e-5)
    assert scored.reward.fingerprint == relevance.fingerprint
    assert scored.tokens == sum(direct.tokens)


def test_the_fingerprint_follows_the_settings_and_not_the_folder(
    relevance: Any, tmp_path: Path
) -> None:
    copy = shutil.copytree(packaged_model(), tmp_path / "copy")
    assert load_embedding(model=str(copy)).fingerprint == relevance.fingerprint
    assert load_embedding(model=str(copy), max_tokens=64).fingerprint != relevance.fingerprint
    assert (relevance.low, relevance.high) == (-10.0, 10.0)


def test_cls_pooling_is_read_from_the_model_and_more_is_refused(
    relevance: Any, tmp_path: Path
) -> None:
    copy = shutil.copytree(packaged_model(), tmp_path / "copy")
    pooling = copy / "1_Pooling" / "config.json"
    pooling.write_text('{"pooling_mode_cls_token": true, "pooling_mode_mean_tokens": false}')
    asked = ([user("Sleep?")], ["Go to bed."])
    changed = load_embedding(model=str(copy))
    assert changed.score(*asked).scores != pytest.approx(relevance.score(*asked).scores, abs=1e-3)
    assert changed.fingerprint != relevance.fingerprint
    pooling.write_text('{"pooling_mode_max_tokens": true}')
    with pytest.raises(ModelError, match="pooling_mode_max_tokens"):
        load_embedding(model=str(copy))


def test_a_model_that_is_not_there_is_refused_without_its_path(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    with pytest.raises(ModelError, match="'empty' cannot be loaded") as refused:
        load_embedding(model=str(tmp_path / "empty"))
    assert str(tmp_path) not in str(refused.value)
    with pytest.raises(ModelError, match="no folder 'typo'") as refused:
        load_embedding(model=str(tmp_path / "typo"))
    assert str(tmp_path) not in str(refused.value)
    with pytest.raises(ModelError, match="set it to auto, cpu or cuda"):
        load_embedding(device="abacus")
