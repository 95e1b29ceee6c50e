"""A model whose layers lie in several places decodes as one that is in one place."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from prelogit.core.errors import ModelError
from prelogit.engine.load import Model, load_model
from prelogit.engine.packed import PackedLinear
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, SearchId
from tests import tiny
from tests.engine.conftest import SIZES

# Disk and memory: accelerate's hooks carry weights as they do between memory and a GPU.
EVERY_OTHER = {
    "model.embed_tokens": "cpu",
    "model.layers.0": "disk",
    "model.layers.1": "cpu",
    "model.layers.2": "disk",
    "model.layers.3": "cpu",
    "model.norm": "disk",
    "model.rotary_emb": "cpu",
    "lm_head": "cpu",
}
ENDS_ON_DISK = {
    "model.embed_tokens": "disk",
    "model.layers": "cpu",
    "model.norm": "cpu",
    "model.rotary_emb": "cpu",
    "lm_head": "disk",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("model")
    tiny.language_model(LlamaConfig(**SIZES)).save_pretrained(path)
    tiny.tokenizer().save_pretrained(path)
    return str(path)


@pytest.fixture(scope="module")
def whole(folder: str) -> Model:
    return load_model(folder, device="cpu", dtype="float32")


def decode(model: Model) -> dict[str, tuple[torch.Tensor, torch.Tensor]]:
    """Tokens and u . v of two steered prompts, samples leaving at different steps."""
    engine = replace(model, ends=frozenset(range(0, 257, 16))).engine()
    torch.manual_seed(0)
    for prompt, ids in (("long", list(range(1, 30))), ("short", [5, 4, 3])):
        engine.admit(prompt, ids)
        mean = torch.randn(6, model.dim) * 0.1
        control = Gaussian(mean, 1.0, NoiseKey(seed=1, prompt=len(ids), iteration=0))
        engine.add(SearchId(prompt, 0), Plan(6, control, Greedy(), max_new_tokens=12))
    found = {}
    while engine.busy:
        for search, rollouts in engine.step():
            found[search.prompt] = (rollouts.token_ids, rollouts.u_dot_noise)
    return found


@pytest.mark.parametrize("attention", ["shared", "sdpa"])
@pytest.mark.parametrize("device_map", [EVERY_OTHER, ENDS_ON_DISK], ids=["layers", "ends"])
def test_layers_on_the_disk_give_the_same_tokens(
    device_map: dict[str, int | str], attention: Any, folder: str, whole: Model
) -> None:
    spread = load_model(
        folder, device="cpu", dtype="float32", device_map=device_map, attention=attention
    )
    assert not any(isinstance(child, PackedLinear) for child in spread.module.modules())
    assert spread.fingerprint == whole.fingerprint
    assert spread.max_rows == whole.max_rows
    want, got = decode(whole), decode(spread)
    for prompt, (tokens, dot) in want.items():
        assert torch.equal(got[prompt][0], tokens)
        assert torch.allclose(got[prompt][1], dot)


@pytest.mark.parametrize("device_map", ["auto", "sequential", {"": "cpu"}, '{"": "cpu"}'])
def test_a_map_to_one_place_is_no_map(device_map: Any, folder: str, whole: Model) -> None:
    spread = load_model(folder, device="cpu", dtype="float32", device_map=device_map)
    if not torch.cuda.is_available():
        assert any(isinstance(child, PackedLinear) for child in spread.module.modules())
        assert torch.equal(decode(spread)["long"][0], decode(whole)["long"][0])


@pytest.mark.parametrize(
    ("device_map", "cure"),
    [
        ("each", "auto, balanced"),
        ("[0, 1]", "the device of each module as JSON"),
        ({}, "auto, balanced"),
        ({"model": 1.5}, "auto, balanced"),
        ({"model": "gpu"}, "auto, cpu, cuda or cuda:N"),
        ({"model": 99}, "device cpu or auto"),
    ],
)
def test_a_map_that_is_none_is_told(device_map: Any, cure: str, folder: str) -> None:
    with pytest.raises(ModelError, match=cure):
        load_model(folder, device_map=device_map)


def test_a_map_without_a_module_is_told(folder: str) -> None:
    with pytest.raises(ModelError, match="device_map"):
        load_model(
            folder,
            device="cpu",
            dtype="float32",
            device_map={"model.layers": "cpu", "lm_head": "disk"},
        )
