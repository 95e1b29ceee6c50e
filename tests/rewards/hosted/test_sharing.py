"""A prompt that is read once gives the scores that it gives when it is read for each response."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import (
    AutoModelForSequenceClassification,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MistralConfig,
    Qwen2Config,
)

from prelogit.rewards.hosted import forward
from prelogit.rewards.hosted.classifier import load_classifier
from prelogit.rewards.hosted.forward import Reader, read_rows
from prelogit.rewards.hosted.rendering import Row
from prelogit.rewards.hosted.sharing import Sharing, find_sharing

VOCABULARY = 40
SHAPE: dict[str, Any] = {
    "vocab_size": VOCABULARY,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "head_dim": 8,
    "max_position_embeddings": 128,
    "initializer_range": 0.3,
    "num_labels": 1,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
WINDOW = 6  # shorter than the prompts
CONFIGS: dict[str, Callable[..., Any]] = {
    "llama": lambda **more: LlamaConfig(**SHAPE | more),
    "qwen2": lambda **more: Qwen2Config(**SHAPE | more),
    "qwen2 with a window": lambda **more: Qwen2Config(
        **SHAPE | {"use_sliding_window": True, "sliding_window": WINDOW, "max_window_layers": 1} | more
    ),
    "mistral": lambda **more: MistralConfig(**SHAPE | {"sliding_window": WINDOW} | more),
    "gemma2": lambda **more: Gemma2Config(
        **SHAPE | {"sliding_window": WINDOW, "query_pre_attn_scalar": 8} | more
    ),
    "gpt2": lambda **more: GPT2Config(
        **{key: value for key, value in SHAPE.items() if "num_" not in key and key != "head_dim"}
        | {"n_embd": 32, "n_layer": 3, "n_head": 4, "n_positions": 128, "num_labels": 1}
        | more
    ),
}  # fmt: skip
tokens = st.lists(st.integers(0, VOCABULARY - 1), min_size=1, max_size=9)


def make_reader(name: str, **more: Any) -> Reader:
    """A random classifier, which reads every row whole."""
    torch.manual_seed(len(name))
    auto: Any = AutoModelForSequenceClassification
    model = auto.from_config(CONFIGS[name](**more)).eval()
    return Reader(
        model, torch.device("cpu"), lambda answer: answer.logits[:, 0].to("cpu", torch.float64)
    )


def with_sharing(reader: Reader) -> Reader:
    found = find_sharing(reader.model)
    assert isinstance(found, Sharing)
    return reader._replace(sharing=found)


READERS = {name: make_reader(name) for name in CONFIGS}


def as_rows(ids: list[list[int]]) -> list[Row]:
    return [Row(each, None, False) for each in ids]


def assert_alike(shared: Reader, rows: list[Row]) -> None:
    """Within 1e-4 of the scores' spread, each row alone and whole being right."""
    whole = shared._replace(sharing=None)
    alone = torch.cat([read_rows(whole, [row]) for row in rows])
    scores = read_rows(shared, rows)
    spread = max(float(alone.max() - alone.min()), float(alone.abs().max()))
    assert float((scores - alone).abs().max()) <= 1e-4 * spread


@pytest.fixture(autouse=True)
def worth_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Short prompts are shared too."""
    monkeypatch.setattr(forward, "WORTH", 1)


@pytest.fixture
def passes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Shapes of the batches that a classifier reads, in order."""
    seen: list[tuple[int, int]] = []
    pad = forward.pad

    def seeing(rows: Any, fill: int, device: Any) -> Any:
        ids, mask = pad(rows, fill, device)
        seen.append(tuple(ids.shape))
        return ids, mask

    monkeypatch.setattr(forward, "pad", seeing)
    return seen


@pytest.mark.parametrize("name", CONFIGS)
@given(data=st.data())
@settings(max_examples=25)
def test_scores_are_those_of_each_row_alone(name: str, data: st.DataObject) -> None:
    """Conversations of several lengths and one template, any number of responses, in any order."""
    template = data.draw(tokens)
    prompts = data.draw(st.lists(st.lists(st.integers(0, 5), max_size=30), min_size=1, max_size=3))
    asked = data.draw(st.lists(st.tuples(st.sampled_from(prompts), tokens), min_size=1, max_size=9))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forward, "ROWS", data.draw(st.integers(1, 5)))
        patch.setattr(forward, "TOKENS", data.draw(st.integers(20, 200)))
        patch.setattr(forward, "KEPT", data.draw(st.integers(20, 400)))
        rows = as_rows([[*template, *prompt, *response] for prompt, response in asked])
        assert_alike(with_sharing(READERS[name]), rows)


@pytest.mark.parametrize("name", CONFIGS)
def test_the_prompt_is_read_once_and_past_a_window(
    name: str, passes: list[tuple[int, int]]
) -> None:
    prompt = [1, *range(10, 30)]
    rows = as_rows([[*prompt, *[3] * length, 2] for length in (1, 4, 2)])
    assert_alike(with_sharing(READERS[name]), rows)
    assert passes[-2:] == [(1, 22), (3, 4)]  # "3" is what all responses begin with


@pytest.mark.parametrize("pad_token", [None, 2, 3])
def test_the_score_is_read_at_the_token_at_which_it_always_is(pad_token: int | None) -> None:
    """Where padding is the token that rows end with, a score is read before it, maybe in the prompt."""
    shared = with_sharing(make_reader("llama", pad_token_id=pad_token))
    prompt = [1, 12, 13, 14]
    ends = ([2], [2, 2], [2, 2, 2], [5, 2], [6, 7], [3])
    assert_alike(shared, as_rows([[*prompt, *end] for end in ends]))
    assert_alike(shared, as_rows([[2, 2], [2, 2, 2], [2]]))


def test_a_row_that_another_begins_with_has_an_end_of_its_own() -> None:
    assert_alike(with_sharing(READERS["llama"]), as_rows([[1, 4, 5], [1, 4, 5, 6], [1, 4], [1]]))


def test_bfloat16_stays_within_its_rounding() -> None:
    reader = READERS["llama"]
    low = make_reader("llama")
    low.model.to(torch.bfloat16)
    rows = as_rows([[1, *range(10, 30), each, 2] for each in range(3, 9)])
    exact = torch.cat([read_rows(reader, [row]) for row in rows])
    rounded = read_rows(with_sharing(low), rows)
    assert float((rounded - exact).abs().max()) <= 0.05 * float(exact.abs().max())


@pytest.mark.parametrize(
    ("more", "reason"),
    [
        ({"rope_parameters": {"rope_type": "dynamic", "rope_theta": 1e4, "factor": 2.0}}, "rotary"),
        ({"attention_chunk_size": 4}, "chunks"),
    ],
)
def test_models_that_read_a_prompt_another_way_say_why(more: dict[str, Any], reason: str) -> None:
    found = find_sharing(make_reader("llama", **more).model)
    assert isinstance(found, str)
    assert reason in found


def test_a_classifier_shares_what_tokens_say_and_not_texts(
    llama_folder: Path, passes: list[tuple[int, int]]
) -> None:
    hosted = load_classifier("rm", model=str(llama_folder))
    turns = [{"role": "user", "content": "does it rain?"}]
    passes.clear()
    hosted.score([turns] * 4, ["yes", "yesterday", "no", "yes"])
    begun = len("does it rain?") + 4  # BOS, role, text, end, role
    assert passes == [(1, begun), (3, len("yesterday") + 1)]


def test_an_encoder_reads_pairs_whole(bert_folder: Path, passes: list[tuple[int, int]]) -> None:
    hosted = load_classifier("rm", model=str(bert_folder))
    passes.clear()
    hosted.score([[{"role": "user", "content": "does it rain?"}]] * 2, ["yes", "yesterday"])
    assert len(passes) == 2  # ids and segments of one batch


def test_a_model_that_scores_otherwise_with_a_cache_is_read_whole(
    llama_folder: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    from transformers import LlamaForSequenceClassification

    plain = load_classifier("rm", model=str(llama_folder))
    asked = ([[{"role": "user", "content": "does it rain?"}]] * 3, ["yes", "no", "maybe"])
    expected = plain.score(*asked).scores
    through = LlamaForSequenceClassification.forward

    def forgetful(
        self: Any, input_ids: Any = None, attention_mask: Any = None, cache: Any = None
    ) -> Any:
        return through(self, input_ids, attention_mask[:, -input_ids.shape[1] :])

    def failing(
        self: Any, input_ids: Any = None, attention_mask: Any = None, cache: Any = None
    ) -> Any:
        if cache is not None:
            raise NotImplementedError
        return through(self, input_ids, attention_mask)

    def wrong(
        self: Any, input_ids: Any = None, attention_mask: Any = None, cache: Any = None
    ) -> Any:
        answer = through(self, input_ids, attention_mask, cache=cache)
        answer.logits = answer.logits * (1.1 if cache is not None else 1.0)
        return answer

    for broken, said in (
        (forgetful, "fails then (TypeError)"),
        (failing, "fails then (NotImplementedError)"),
        (wrong, "scores are others"),
    ):
        caplog.clear()
        monkeypatch.setattr(LlamaForSequenceClassification, "forward", broken)
        with caplog.at_level(logging.INFO, logger="prelogit.rewards"):
            hosted = load_classifier("rm", model=str(llama_folder))
            assert hosted.score(*asked).scores == pytest.approx(expected, abs=1e-4)
            hosted.score(*asked)
        told = [each.message for each in caplog.records if "a prompt anew" in each.message]
        assert len(told) == 1
        assert said in told[0]
