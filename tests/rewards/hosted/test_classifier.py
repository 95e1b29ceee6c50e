"""Reward classifiers: the template once, BOS once, the raw logit, the right token, no random heads."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

from prelogit.core.errors import InputError, ModelError
from prelogit.rewards.hosted import forward
from prelogit.rewards.hosted.classifier import load_classifier

RESPONSES = ["yes", "no, it does not rain.", "", "a", "it rains " * 20, "Rain? Rain!"]


def user(text: str = "does it rain?") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def by_hand(folder: Path, text: str, column: int = 0, pad: int | None = -1) -> float:
    """The logit of one text, straight from transformers, without padding."""
    model = AutoModelForSequenceClassification.from_pretrained(folder).eval()
    if pad != -1:
        model.config.pad_token_id = pad
    tokenizer = AutoTokenizer.from_pretrained(folder)
    ids = tokenizer(text, add_special_tokens=False, return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        return model(input_ids=ids).logits[0, column].item()


def chat(response: str) -> str:
    """What the test's template makes of a question and a response: one BOS."""
    return f"<s><|user|>does it rain?</s><|assistant|>{response}</s>"


def test_the_score_is_the_raw_logit_with_one_template_and_one_bos(llama_folder: Path) -> None:
    hosted = load_classifier("rm", model=str(llama_folder))
    scored = hosted.score([user()] * len(RESPONSES), RESPONSES)
    expected = [by_hand(llama_folder, chat(response)) for response in RESPONSES]
    assert scored.scores == pytest.approx(expected, abs=1e-4)
    assert max(expected) - min(expected) > 0.1  # else the comparison would say nothing
    assert scored.truncated == [False] * len(RESPONSES)
    assert hosted.low is None


def test_bos_is_added_where_the_template_writes_none(
    tmp_path: Path, make_llama: Callable[..., Path], make_tokenizer: Callable[..., Any]
) -> None:
    template = "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}</s>{% endfor %}"
    folder = make_llama(tmp_path / "m", tokenizer=make_tokenizer(chat_template=template))
    scored = load_classifier("rm", model=str(folder)).score([user()], ["yes"])
    assert scored.scores == pytest.approx([by_hand(folder, chat("yes"))], abs=1e-4)


def test_a_score_does_not_depend_on_what_else_is_scored(llama_folder: Path) -> None:
    hosted = load_classifier("rm", model=str(llama_folder))
    many = RESPONSES * 12
    together = hosted.score([user()] * len(many), many).scores
    alone = [hosted.score([user()], [response]).scores[0] for response in RESPONSES] * 12
    assert together == pytest.approx(alone, abs=1e-4)


@pytest.mark.parametrize("pad", [None, 2, 3])
def test_padding_never_moves_the_token_that_is_read(
    tmp_path: Path,
    make_llama: Callable[..., Path],
    make_tokenizer: Callable[..., Any],
    pad: int | None,
) -> None:
    """pad None: rows end with eos, and eos must still be read. pad 2: pad is eos, as some ship it."""
    name = {None: None, 2: "</s>", 3: "<pad>"}[pad]
    folder = make_llama(
        tmp_path / "m", tokenizer=make_tokenizer(pad_token=name), pad_token_id=pad, seed=3
    )
    hosted = load_classifier("rm", model=str(folder))
    together = hosted.score([user()] * len(RESPONSES), RESPONSES).scores
    expected = [by_hand(folder, chat(response), pad=pad) for response in RESPONSES]
    assert together == pytest.approx(expected, abs=1e-4)
    # The trap itself: read at eos and read before it are different numbers.
    other = by_hand(folder, chat("yes"), pad=2 if pad is None else None)
    assert pad == 3 or abs(other - expected[0]) > 1e-2


def test_a_tokenizer_that_pads_otherwise_changes_nothing(
    tmp_path: Path, make_llama: Callable[..., Path], make_tokenizer: Callable[..., Any]
) -> None:
    tokenizer = make_tokenizer(pad_token="</s>")
    tokenizer.padding_side = "left"
    folder = make_llama(tmp_path / "m", tokenizer=tokenizer, pad_token_id=3)
    scored = load_classifier("rm", model=str(folder)).score([user()] * 6, RESPONSES)
    expected = [by_hand(folder, chat(response)) for response in RESPONSES]
    assert scored.scores == pytest.approx(expected, abs=1e-4)


def test_a_model_whose_batches_differ_from_singles_is_refused(
    llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from transformers import LlamaForSequenceClassification

    forward = LlamaForSequenceClassification.forward

    def blind_to_padding(self: Any, input_ids: Any = None, **options: Any) -> Any:
        answer = forward(self, input_ids=input_ids, **options)
        if input_ids.shape[0] > 1:
            answer.logits = answer.logits + torch.arange(input_ids.shape[0])[:, None]
        return answer

    monkeypatch.setattr(LlamaForSequenceClassification, "forward", blind_to_padding)
    with pytest.raises(ModelError, match="pad_token_id"):
        load_classifier("rm", model=str(llama_folder))


def test_what_is_too_long_loses_its_beginning_but_neither_bos_nor_its_end(
    llama_folder: Path,
) -> None:
    hosted = load_classifier("rm", model=str(llama_folder), max_tokens=40)
    long = "and then it rained and rained all night."
    scored = hosted.score([user()] * 2, [long, "yes"])
    assert scored.truncated == [True, False]
    assert scored.tokens == [40, 21]  # one token a letter, five special ones
    kept = "<s>" + long[-38:] + "</s>"
    assert scored.scores[0] == pytest.approx(by_hand(llama_folder, kept), abs=1e-4)


def test_a_pair_that_repeats_is_read_and_paid_once(
    llama_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted = load_classifier("rm", model=str(llama_folder), max_tokens=40)
    long, read = "it rained all night and all of the day.", []
    pad = forward.pad

    def seeing(rows: Any, fill: int, device: Any) -> Any:
        read.append(len(rows))
        return pad(rows, fill, device)

    monkeypatch.setattr(forward, "pad", seeing)
    asked = ["yes", long, "yes", "no", long]
    scored = hosted.score([user(), user(), user(), user("why?"), user()], asked)
    assert read == [3]
    assert scored.tokens == [21, 40, 0, 11, 0]  # one token a letter
    assert scored.lengths == [21, 40, 21, 11, 40]
    assert scored.truncated == [False, True, False, False, True]
    assert scored.scores[2] == scored.scores[0]
    assert scored.scores[4] == scored.scores[1]
    assert len(set(scored.scores)) == 3


def test_a_language_model_has_no_reward_head_and_is_refused(
    tmp_path: Path, llama_folder: Path
) -> None:
    weights = load_file(llama_folder / "model.safetensors")
    del weights["score.weight"]
    for file in llama_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    save_file(weights, tmp_path / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"score\.weight.*trained reward model") as refused:
        load_classifier("rm", model=str(tmp_path))
    assert str(tmp_path) not in str(refused.value)


def test_a_head_of_another_shape_is_refused(tmp_path: Path, llama_folder: Path) -> None:
    for file in llama_folder.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    config = json.loads((tmp_path / "config.json").read_text())
    config["id2label"] = {"0": "a", "1": "b"}
    config["label2id"] = {"a": 0, "b": 1}
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        load_classifier("rm", model=str(tmp_path), label=0)


def test_a_decoder_without_a_template_is_refused_and_can_be_given_one(
    tmp_path: Path,
    llama_folder: Path,
    make_llama: Callable[..., Path],
    make_tokenizer: Callable[..., Any],
) -> None:
    folder = make_llama(tmp_path / "m", tokenizer=make_tokenizer(chat_template=None))
    with pytest.raises(ModelError, match="set chat_template"):
        load_classifier("rm", model=str(folder))
    template = AutoTokenizer.from_pretrained(llama_folder).chat_template
    given = load_classifier("rm", model=str(folder), chat_template=template)
    shipped = load_classifier("rm", model=str(llama_folder))
    asked = ([user()] * 6, RESPONSES)
    assert given.score(*asked).scores == pytest.approx(shipped.score(*asked).scores, abs=1e-5)


def test_a_template_that_refuses_roles_says_which_conversation(
    tmp_path: Path, make_llama: Callable[..., Path], make_tokenizer: Callable[..., Any]
) -> None:
    template = (
        "{% for m in messages %}{% if m['role'] == 'system' %}"
        "{{ raise_exception('no system turns') }}{% endif %}{{ m['content'] }}</s>{% endfor %}"
    )
    folder = make_llama(tmp_path / "m", tokenizer=make_tokenizer(chat_template=template))
    hosted = load_classifier("rm", model=str(folder))
    with pytest.raises(InputError, match=r"conversation 1 .*no system turns"):
        hosted.score([user(), [{"role": "system", "content": "x"}]], ["a", "b"])


def test_an_encoder_reads_a_pair_and_not_its_batch(bert_folder: Path) -> None:
    hosted = load_classifier("rm", model=str(bert_folder))
    scored = hosted.score([user("does it rain?")] * 5, ["yes", "no", "", "a " * 9, "a " * 90])
    model = AutoModelForSequenceClassification.from_pretrained(bert_folder).eval()
    tokenizer = AutoTokenizer.from_pretrained(bert_folder)
    for place, response in enumerate(["yes", "no", "", "a " * 9]):
        inputs = tokenizer("does it rain?", response, return_tensors="pt")
        with torch.inference_mode():
            alone = model(**inputs).logits.item()
        assert scored.scores[place] == pytest.approx(alone, abs=1e-4)
    assert scored.truncated == [False, False, False, False, True]
    assert scored.tokens[4] == 64


def test_an_encoder_refuses_a_conversation_without_messages(bert_folder: Path) -> None:
    hosted = load_classifier("rm", model=str(bert_folder))
    with pytest.raises(InputError, match="conversation 0"):
        hosted.score([[]], ["a"])


def test_fingerprints_tell_models_apart(
    tmp_path: Path, llama_folder: Path, make_llama: Callable[..., Path]
) -> None:
    first = load_classifier("a", model=str(llama_folder)).fingerprint
    again = load_classifier("b", model=str(llama_folder)).fingerprint
    other = load_classifier("a", model=str(make_llama(tmp_path / "m", seed=1))).fingerprint
    lower = load_classifier("a", model=str(llama_folder), dtype="bfloat16").fingerprint
    assert first == again
    assert len({first, other, lower}) == 3


def test_bfloat16_scores_the_same_within_its_rounding(llama_folder: Path) -> None:
    asked = ([user()] * 6, RESPONSES)
    exact = load_classifier("a", model=str(llama_folder)).score(*asked).scores
    rounded = load_classifier("a", model=str(llama_folder), dtype="bfloat16").score(*asked).scores
    assert rounded == pytest.approx(exact, abs=0.1 * max(map(abs, exact)))
