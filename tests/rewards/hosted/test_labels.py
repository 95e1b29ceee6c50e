"""Which logits of a classifier are the reward: by name, by index, or weighed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted.classifier import load_classifier


def user() -> list[dict[str, str]]:
    return [{"role": "user", "content": "does it rain?"}]


def by_hand(folder: Path, text: str, column: int) -> float:
    """One logit of one text, straight from transformers."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    ids = AutoTokenizer.from_pretrained(folder)(text, add_special_tokens=False, return_tensors="pt")
    with torch.inference_mode():
        return float(model(input_ids=ids["input_ids"]).logits[0, column].item())


def chat(response: str) -> str:
    """What the test's template makes of a question and a response."""
    return f"<s><|user|>does it rain?</s><|assistant|>{response}</s>"


def test_several_labels_need_a_choice_and_each_can_be_chosen(
    tmp_path: Path, make_llama: Callable[..., Path]
) -> None:
    names = {0: "harmful", 1: "helpful", 2: "neutral"}
    folder = make_llama(
        tmp_path / "m", num_labels=3, id2label=names, label2id={n: i for i, n in names.items()}
    )
    with pytest.raises(ModelError, match=r"set label .* 0 \(harmful\), 1 \(helpful\)"):
        load_classifier("rm", model=str(folder))
    with pytest.raises(ModelError, match="did you mean 'helpful'"):
        load_classifier("rm", model=str(folder), label="helpfull")
    with pytest.raises(ModelError, match="no label 3"):
        load_classifier("rm", model=str(folder), label=3)
    by_name = load_classifier("rm", model=str(folder), label="helpful")
    by_place = load_classifier("rm", model=str(folder), label=1)
    expected = by_hand(folder, chat("yes"), column=1)
    assert by_name.score([user()], ["yes"]).scores == pytest.approx([expected], abs=1e-4)
    assert by_place.score([user()], ["yes"]).scores == pytest.approx([expected], abs=1e-4)
    assert by_name.fingerprint == by_place.fingerprint
    other = load_classifier("rm", model=str(folder), label="neutral")
    assert other.fingerprint != by_name.fingerprint


def test_several_labels_are_weighed_by_name_or_index(
    tmp_path: Path, make_llama: Callable[..., Path]
) -> None:
    names = {0: "harmful", 1: "helpful", 2: "neutral"}
    folder = make_llama(
        tmp_path / "m", num_labels=3, id2label=names, label2id={n: i for i, n in names.items()}
    )
    label = {"helpful": 1.0, "0": -0.5}
    hosted = load_classifier("rm", model=str(folder), label=label)
    single = [by_hand(folder, chat("yes"), column=place) for place in (0, 1)]
    expected = single[1] - 0.5 * single[0]
    assert hosted.score([user()], ["yes"]).scores == pytest.approx([expected], abs=1e-4)
    assert hosted.labels == 3
    other = load_classifier("rm", model=str(folder), label={"helpful": 1.0, "0": -0.25})
    same = load_classifier("rm", model=str(folder), label={"harmful": -0.5, "helpful": 1.0})
    assert len({hosted.fingerprint, other.fingerprint}) == 2
    assert hosted.fingerprint == same.fingerprint
    for wrong, said in (
        ({"helpful": 1.0, "1": 1.0}, "each label once"),
        ({}, "at least one"),
        ({"helpfull": 1.0}, "did you mean 'helpful'"),
        ({"7": 1.0}, "no label '7'"),
    ):
        with pytest.raises(ModelError, match=said):
            load_classifier("rm", model=str(folder), label=wrong)
