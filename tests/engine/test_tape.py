"""A recorded step gives the same bits as the model's own forward, for every family."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from prelogit.engine import attention, tape
from prelogit.engine.decoder import SharedDecoder, Step, own_step
from prelogit.engine.packed import PackedLinear, pack
from prelogit.engine.prefix import Group
from tests import tiny
from tests.engine.conftest import FAMILIES


def layers_of(module: Any) -> int:
    return int(module.config.get_text_config().num_hidden_layers)


def shared(config: Any, dtype: torch.dtype = torch.float32) -> Any:
    module = tiny.language_model(config).to(dtype)
    attention.register()
    module.set_attn_implementation(attention.NAME)
    pack(module)
    return module


@torch.inference_mode()
def hidden(module: Any, step: Step) -> list[Tensor]:
    """Hidden states of three prompts' rows that come, go and end one by one."""
    way = SharedDecoder(module.base_model, step)
    prefixes = [way.prefill(range(3, 3 + length)) for length in (2, 11, 37)]
    groups = [Group(prefixes[0], range(1), 30), Group(prefixes[1], range(5), 30)]
    told = []
    for t in range(18):
        if t == 4:
            groups.append(Group(prefixes[2], range(3), 14))
        if t == 9:
            groups.append(Group(prefixes[1], range(2), 9))
        if t in (6, 8, 10):
            way.keep(groups[1], list(range(groups[1].live))[1:])
        rows = sum(group.live for group in groups)
        way.forward(groups, (torch.arange(rows) * 31 + 7 * t) % 250)
        told += [group.hidden.clone() for group in groups]
    return told


def test_the_bits_are_those_of_the_models_own_forward(family: Any) -> None:
    same_bits(shared(family))


@pytest.mark.parametrize("name", ["llama", "qwen3", "gemma2-softcaps"])
def test_the_bits_are_the_same_in_bfloat16(name: str) -> None:
    same_bits(shared(FAMILIES[name], torch.bfloat16))


def same_bits(module: Any) -> None:
    layers = layers_of(module)
    want = hidden(module, own_step(module.base_model, layers))
    got = hidden(module, tape.record(module.base_model, layers))
    for mine, own in zip(got, want, strict=True):
        assert torch.equal(mine, own)


def test_layers_with_the_same_input_are_called_once(monkeypatch: pytest.MonkeyPatch) -> None:
    module = shared(FAMILIES["llama"])
    step = tape.record(module.base_model, layers_of(module))
    calls: list[int] = []
    apply = PackedLinear._apply_packed

    def counted(self: Any, x: Tensor) -> Tensor:
        calls.append(self.out_features)
        return apply(self, x)

    monkeypatch.setattr(PackedLinear, "_apply_packed", counted)
    way = SharedDecoder(module.base_model, step)
    with torch.inference_mode():
        prefix = way.prefill([1, 2, 3])
        calls.clear()
        way.forward([Group(prefix, range(4), 4)], torch.tensor([5, 6, 7, 8]))
    # query, key and value; what joins the heads; gate and up; down: four layers of them
    assert calls == [128 + 32 + 32, 64, 96 + 96, 64] * 4


@pytest.mark.parametrize("name", ["llama", "gemma2-softcaps"])
def test_views_casts_slices_and_means_are_called_the_short_way(name: str) -> None:
    module = shared(FAMILIES[name], torch.bfloat16)
    step: Any = tape.record(module.base_model, layers_of(module))
    aten = torch.ops.aten
    called = Counter(node.target for node in step.__self__.graph.nodes)
    for long in (aten.view.default, aten._to_copy.default, aten.mean.dim):
        assert called[long] == 0
    assert called[aten.slice.Tensor] <= 1  # along the rows, whose number is open
    for short in ("view", "float", "bfloat16", "narrow"):
        assert called[short] >= 4


def test_a_step_is_recorded_once_it_has_run_often_enough(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = shared(FAMILIES["llama"])
    recorded: list[int] = []
    record = tape.record

    def noted(decoder: nn.Module, layers: int) -> Step:
        recorded.append(layers)
        return record(decoder, layers)

    monkeypatch.setattr(tape, "record", noted)
    want = hidden(module, own_step(module.base_model, 4))
    got = hidden(module, tape.recorded_later(module.base_model, 4, after=7))
    assert recorded == [4]
    assert all(torch.equal(mine, own) for mine, own in zip(got, want, strict=True))


def test_a_forward_that_looks_at_the_numbers_goes_on_as_it_is() -> None:
    module = shared(FAMILIES["llama"])
    rotary = module.base_model.rotary_emb
    own = rotary.forward

    def looking(x: Tensor, position_ids: Tensor) -> Any:
        return own(x, position_ids if int(position_ids.max()) < 10**9 else position_ids * 0)

    rotary.forward = looking
    with pytest.raises(Exception, match=r".+"):
        tape.record(module.base_model, 4)
    want = hidden(module, own_step(module.base_model, 4))
    got = hidden(module, tape.recorded_later(module.base_model, 4, after=7))
    assert all(torch.equal(mine, own) for mine, own in zip(got, want, strict=True))
