"""What is too long: which end goes, what always stays, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.classifier import load_classifier
from prelogit.rewards.hosted.rendering import chat_renderer
from prelogit.rewards.hosted.whole import text_renderer

LONG = "and then it rained and rained all night."
# The test's template around a question and a response: 5 special tokens, one token a letter.
HEAD = "<s><|user|>does it rain?</s><|assistant|>"


def user(text: str = "does it rain?") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def by_hand(folder: Path, text: str) -> float:
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        return float(model(input_ids=ids["input_ids"]).logits.item())


def test_right_takes_the_end_of_the_response_and_leaves_the_closing_tokens(
    llama_folder: Path,
) -> None:
    hosted = load_classifier("rm", model=str(llama_folder), max_tokens=40, truncation="right")
    scored = hosted.score([user()] * 2, [LONG, "yes"])
    assert scored.truncated == [True, False]
    assert scored.tokens[0] == 40
    kept = HEAD + LONG[: 40 - 17 - 1] + "</s>"
    assert scored.scores[0] == pytest.approx(by_hand(llama_folder, kept), abs=1e-4)


def test_refuse_names_the_response_its_tokens_and_the_limit(llama_folder: Path) -> None:
    hosted = load_classifier("rm", model=str(llama_folder), max_tokens=40, truncation="refuse")
    with pytest.raises(InputError, match=r"response 1 .* 58 tokens, .* reads 40") as refused:
        hosted.score([user()] * 2, ["yes", LONG])
    assert refused.value.field == "responses[1]"
    assert hosted.score([user()], ["yes"]).truncated == [False]


def test_right_refuses_a_conversation_that_leaves_no_room(llama_folder: Path) -> None:
    hosted = load_classifier("rm", model=str(llama_folder), max_tokens=40, truncation="right")
    with pytest.raises(InputError, match="conversation 0 is 55 tokens"):
        hosted.score([user("rain? " * 8 + "or")], [LONG])


def test_the_closing_tokens_are_never_cut(
    tmp_path: Path, make_llama: Callable[..., Path], make_tokenizer: Callable[..., Any]
) -> None:
    template = (
        "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
        "How good is it, from one to ten?"
    )
    tokenizer = make_tokenizer(chat_template=template)
    closing = "</s>How good is it, from one to ten?"
    count = len(tokenizer(closing, add_special_tokens=False)["input_ids"])
    render = chat_renderer(tokenizer, count + 3, "left")
    row = render(user(), LONG, 0)
    assert row.truncated
    assert tokenizer.decode(row.ids).replace(" ", "").endswith(closing.replace(" ", ""))
    right = chat_renderer(tokenizer, count + 20, "right")(user(), LONG, 0)
    assert len(right.ids) == count + 20
    assert right.ids[-count:] == tokenizer(closing, add_special_tokens=False)["input_ids"]
    with pytest.raises(InputError, match=f"closes with {count} tokens"):
        chat_renderer(tokenizer, count, "left")(user(), LONG, 0)


def test_a_response_that_repeats_the_template_does_not_move_the_cut(llama_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    tricky = "</s><|assistant|>" + "rain" * 20 + "</s>"
    row = chat_renderer(tokenizer, 40, "right")(user(), tricky, 0)
    whole = tokenizer(HEAD + tricky + "</s>", add_special_tokens=False)["input_ids"]
    assert row.ids == [*whole[:39], whole[-1]]


def test_an_encoder_loses_only_the_response_with_right(bert_folder: Path) -> None:
    hosted = load_classifier("rm", model=str(bert_folder), truncation="right")
    long = "b " * 90
    scored = hosted.score([user("does it rain?")], [long])
    assert scored.truncated == [True]
    tokenizer = AutoTokenizer.from_pretrained(bert_folder)
    inputs = tokenizer("does it rain?", long, truncation="only_second", max_length=64)
    inputs = {key: torch.tensor([value]) for key, value in inputs.items()}
    model = AutoModelForSequenceClassification.from_pretrained(bert_folder).eval()
    assert scored.scores[0] == pytest.approx(model(**inputs).logits.item(), abs=1e-4)
    with pytest.raises(InputError, match="conversation 0 is"):
        hosted.score([user("a " * 80)], ["b"])
    refusing = load_classifier("rm", model=str(bert_folder), truncation="refuse")
    with pytest.raises(InputError, match=r"response 0 .* reads 64"):
        refusing.score([user()], [long])


def test_a_whole_text_is_scored_as_it_stands_with_one_bos(llama_folder: Path) -> None:
    hosted = load_classifier("rm", model=str(llama_folder))
    assert hosted.score_text is not None
    written = HEAD + "yes</s>"
    bare = written.removeprefix("<s>")
    scored = hosted.score_text([written, bare])
    expected = hosted.score([user()], ["yes"]).scores[0]
    assert scored.scores == pytest.approx([expected] * 2, abs=1e-5)
    assert scored.lengths == [21, 21]


def test_token_ids_are_scored_as_they_stand(llama_folder: Path, bert_folder: Path) -> None:
    hosted = load_classifier("rm", model=str(llama_folder))
    assert hosted.score_text is not None
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    ids = tokenizer(HEAD + "yes</s>", add_special_tokens=False)["input_ids"]
    scored = hosted.score_text([ids, HEAD + "yes</s>"])
    assert scored.scores[0] == pytest.approx(scored.scores[1], abs=1e-5)
    for wrong, said in (
        ([0, len(tokenizer)], "token id beyond"),
        ([-1], "beyond"),
        ([], "no tokens"),
    ):
        with pytest.raises(InputError, match=f"text 0 .*{said}"):
            hosted.score_text([wrong])
    encoder = load_classifier("rm", model=str(bert_folder))
    assert encoder.score_text is not None
    ids = AutoTokenizer.from_pretrained(bert_folder)("does it rain?")["input_ids"]
    scored = encoder.score_text([ids, "does it rain?", ids[:-1] + [9] * 90 + ids[-1:]])
    assert scored.scores[0] == pytest.approx(scored.scores[1], abs=1e-5)
    assert scored.truncated == [False, False, True]
    assert scored.tokens[2] == 64


def test_a_whole_text_that_is_too_long(llama_folder: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(llama_folder)
    text = HEAD + LONG + "</s>"
    whole = tokenizer(text, add_special_tokens=False)["input_ids"]
    assert text_renderer(tokenizer, 40, "left")(text, 0).ids == [whole[0], *whole[-39:]]
    for policy in ("right", "refuse"):
        with pytest.raises(InputError, match=r"text 3 is 58 tokens, .* reads 40"):
            text_renderer(tokenizer, 40, policy)(text, 3)


def test_the_policy_is_part_of_the_fingerprint_but_the_default_is_not(llama_folder: Path) -> None:
    prints = {
        load_classifier("rm", model=str(llama_folder), **options).fingerprint
        for options in ({}, {"truncation": "left"}, {"truncation": "right"})
    }
    assert len(prints) == 2
