"""Heads of their own: by the published definitions, by class path, and with the same refusals."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import (
    AutoTokenizer,
    LlamaConfig,
    LlamaModel,
    MistralConfig,
    MistralModel,
)

from prelogit.core.errors import InputError, ModelError
from prelogit.rewards.hosted import forward
from prelogit.rewards.hosted.head import load_head

SMALL: dict[str, Any] = {
    "vocab_size": 70,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 512,
    "initializer_range": 0.3,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": None,
}
BODIES = {"ultrarm": (LlamaModel, LlamaConfig), "eurus": (MistralModel, MistralConfig)}
RESPONSES = ["yes", "no, it does not rain.", "", "a", "it rains " * 20]

USER_CLASSES = """
import torch
from torch import nn
from transformers import LlamaModel
from transformers.models.llama.modeling_llama import LlamaPreTrainedModel
from transformers.modeling_outputs import SequenceClassifierOutput

class Mean(LlamaPreTrainedModel):
    chat_template = "{% for m in messages %}{{ m['content'] }}.{% endfor %}"

    def __init__(self, config):
        super().__init__(config)
        self.model = LlamaModel(config)
        self.regression_head = nn.Linear(config.hidden_size, 1, bias=False)
        self.post_init()

    def forward(self, input_ids, attention_mask):
        states = self.model(input_ids=input_ids, attention_mask=attention_mask).last_hidden_state
        weights = attention_mask.unsqueeze(-1)
        mean = (states * weights).sum(1) / weights.sum(1)
        return SequenceClassifierOutput(logits=self.regression_head(mean))

class Blind(Mean):
    def forward(self, input_ids, attention_mask):
        states = self.model(input_ids=input_ids).last_hidden_state
        return self.regression_head(states.mean(1))

class Two(Mean):
    def forward(self, input_ids, attention_mask):
        return super().forward(input_ids, attention_mask).logits.repeat(1, 2)

class Nothing(Mean):
    def forward(self, input_ids, attention_mask):
        return "a good answer"

class Plain:
    pass
"""


def user(text: str = "does it rain?") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


@pytest.fixture
def save(tmp_path: Path, make_tokenizer: Callable[..., Any]) -> Callable[..., Path]:
    """save(head) -> a checkpoint as the publishers' code writes it: ``model.*``, regression_head."""

    def make(head: str, *, seed: int = 0) -> Path:
        folder = tmp_path / f"{head}{seed}"
        body, config = BODIES[head]
        torch.manual_seed(seed)
        model = body(config(**SMALL))
        weights = {f"model.{key}": value for key, value in model.state_dict().items()}
        weights["regression_head.weight"] = torch.randn(1, 32)
        folder.mkdir()
        save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
        model.config.save_pretrained(folder)
        make_tokenizer(chat_template=None).save_pretrained(folder)
        return folder

    return make


def by_hand(head: str, folder: Path, text: str) -> float:
    """The published definition, one row at a time: the head at the last token."""
    body, config = BODIES[head]
    weights = load_file(folder / "model.safetensors")
    model = body(config.from_pretrained(folder)).eval()
    model.load_state_dict(
        {key.removeprefix("model."): value for key, value in weights.items() if "head" not in key}
    )
    ids = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    assert ids[0, 0] == 1  # BOS
    assert (ids[0, 1:] != 1).all()
    with torch.inference_mode():
        states = model(input_ids=ids).last_hidden_state[0, -1]
    return float(weights["regression_head.weight"][0] @ states)


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ("ultrarm", "Human: does it rain?\nAssistant: {}"),
        ("eurus", "[INST] does it rain? [/INST] {}"),
    ],
)
def test_the_reward_is_that_of_the_published_definition(
    save: Callable[..., Path], head: str, text: str
) -> None:
    folder = save(head)
    hosted = load_head("rm", model=str(folder), head=head)
    scored = hosted.score([user()] * 5, RESPONSES)
    expected = [by_hand(head, folder, text.format(response)) for response in RESPONSES]
    assert scored.scores == pytest.approx(expected, abs=1e-3)
    assert max(expected) - min(expected) > 0.1
    assert hosted.score_text is not None
    whole = hosted.score_text([text.format(response) for response in RESPONSES])
    assert whole.scores == pytest.approx(expected, abs=1e-3)


@pytest.mark.parametrize(
    ("head", "text"),
    [
        ("ultrarm", "Human: be kind\n\nhi\nAssistant: ho\nHuman: bye\nAssistant: so long"),
        ("eurus", "[INST] be kind\n\nhi [/INST] ho [INST] bye [/INST] so long"),
    ],
)
def test_further_turns_and_a_system_message(
    save: Callable[..., Path], head: str, text: str
) -> None:
    folder = save(head)
    turns = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "ho"},
        {"role": "user", "content": "bye"},
    ]
    scored = load_head("rm", model=str(folder), head=head).score([turns], ["so long"])
    assert scored.scores == pytest.approx([by_hand(head, folder, text)], abs=1e-3)


@pytest.mark.parametrize("head", ["ultrarm", "eurus"])
def test_a_prompt_that_is_read_once_gives_the_same_rewards(
    save: Callable[..., Path], head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    hosted = load_head("rm", model=str(save(head)), head=head)
    read: list[int] = []
    begin = forward.read_beginning

    def seeing(model: Any, sharing: Any, ids: torch.Tensor, mask: torch.Tensor) -> Any:
        read.append(ids.shape[1])
        return begin(model, sharing, ids, mask)

    monkeypatch.setattr(forward, "read_beginning", seeing)
    prompt = user("does it rain? " * 12)
    together = hosted.score([prompt] * 5, RESPONSES).scores
    assert len(read) == 1
    assert read[0] >= 168
    alone = [hosted.score([prompt], [response]).scores[0] for response in RESPONSES]
    assert len(read) == 1
    assert together == pytest.approx(alone, abs=1e-4)


def test_a_head_that_is_not_in_the_checkpoint_is_refused(save: Callable[..., Path]) -> None:
    folder = save("ultrarm")
    weights = load_file(folder / "model.safetensors")
    del weights["regression_head.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ModelError, match=r"regression_head\.weight.*saved by the class ultrarm"):
        load_head("rm", model=str(folder), head="ultrarm")


def test_a_class_of_ones_own(
    save: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "own_heads.py").write_text(USER_CLASSES)
    monkeypatch.syspath_prepend(str(tmp_path))
    folder = str(save("ultrarm"))
    hosted = load_head("rm", model=folder, head="own_heads:Mean")
    together = hosted.score([user()] * 5, RESPONSES).scores
    alone = [hosted.score([user()], [response]).scores[0] for response in RESPONSES]
    assert together == pytest.approx(alone, abs=1e-4)
    last = load_head("rm", model=folder, head="ultrarm")
    assert hosted.fingerprint != last.fingerprint
    for head, said in (
        ("own_heads:Blind", "in a batch"),
        ("own_heads:Two", r"shape \[3, 2\]"),
        ("own_heads:Nothing", "gives str, not numbers"),
        ("own_heads:Plain", "no model of transformers"),
        ("own_heads:Absent", "no model of transformers"),
        ("no_such_module:Mean", "no module named 'no_such_module'"),
    ):
        with pytest.raises(ModelError, match=said):
            load_head("rm", model=folder, head=head)
    with pytest.raises(InputError, match="ultrarm, eurus or module:Class"):
        load_head("rm", model=folder, head="ultra")


def test_a_head_cuts_as_a_classifier_does(save: Callable[..., Path]) -> None:
    folder = str(save("eurus"))
    options: dict[str, Any] = {"model": folder, "head": "eurus", "max_tokens": 40}
    assert load_head("rm", **options).score([user()], ["a" * 90]).truncated == [True]
    with pytest.raises(InputError, match=r"response 0 .* reads 40"):
        load_head("rm", truncation="refuse", **options).score([user()], ["a" * 90])


def test_another_shape_of_the_body_is_refused(save: Callable[..., Path]) -> None:
    folder = save("ultrarm")
    config = json.loads((folder / "config.json").read_text())
    config["intermediate_size"] = 48
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError):
        load_head("rm", model=str(folder), head="ultrarm")
