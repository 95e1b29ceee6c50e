"""What is captured waits for nothing and copies nothing from the host.

On the meta device, with the operators that CUDA would run: shapes, dtypes and devices are checked
there as on a GPU, values are not.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM

from prelogit.engine import attention
from prelogit.engine.decoder import SharedDecoder, own_step
from prelogit.engine.graphs import static_attention
from prelogit.engine.graphs.graph import GraphDecoder
from prelogit.engine.graphs.static_draw import StaticDraw
from prelogit.engine.head import Head
from prelogit.engine.prefix import Group
from prelogit.noise import Rows
from tests.engine.graphs.recording import CaptureError, CaptureRules
from tests.engine.graphs.stepping import PROMPTS

META = torch.device("meta")


def by_the_rules(run: Callable[[], None], /) -> Callable[[], None]:
    """A capture that only looks."""
    run()  # may fill caches
    with CaptureRules():
        run()
    return run


def on_meta(config: Any, dtype: torch.dtype) -> Any:
    with META:
        module = AutoModelForCausalLM.from_config(
            copy.deepcopy(config), dtype=dtype, attn_implementation="eager"
        )
    attention.register()
    module.eval().set_attn_implementation(attention.NAME)
    return module


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float32])
@torch.inference_mode()
def test_the_layers_of_a_step(
    family: Any, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    kernels = []

    def fusible(query: torch.Tensor) -> bool:
        kernels.append("fused")
        return True

    monkeypatch.setattr(static_attention, "fusible", fusible)
    module = on_meta(family, dtype)
    step = own_step(module.base_model, module.config.get_text_config().num_hidden_layers)
    graph = GraphDecoder(SharedDecoder(module.base_model, step), step, by_the_rules)
    groups = [
        Group(graph.prefill(ids), range(m), 40) for ids, m in zip(PROMPTS, (5, 3, 9), strict=True)
    ]
    for _ in range(2):
        graph.forward(groups, torch.zeros(17, dtype=torch.long, device=META))
    assert not graph.graphs.failed
    assert groups[1].hidden.shape == (3, module.config.hidden_size)
    assert groups[1].hidden.dtype == dtype
    assert kernels or family.model_type == "gemma2"  # which caps its scores


@torch.inference_mode()
def test_noise_logits_and_argmax(family: Any) -> None:
    module = on_meta(family, torch.bfloat16)
    head = Head(module)
    draw = StaticDraw(head, by_the_rules)
    hidden = torch.zeros(5, head.dim, dtype=torch.bfloat16, device=META)
    names = Rows(*torch.ones(5, 5, dtype=torch.long, device=META))
    got = draw(hidden, hidden.float(), torch.ones(5, device=META), names)
    assert not draw.graphs.failed
    assert got.logits.shape == (5, 257)


@pytest.mark.parametrize(
    "forbidden",
    [
        lambda x: x.sum().item(),
        lambda x: bool(x.any()),
        lambda x: x[x > 0],
        lambda x: x.nonzero(),
        lambda x: x.repeat_interleave((x > 0).long()),
        lambda x: x.to("cpu" if x.is_meta else "meta"),
        lambda x: x + torch.ones(3).to("meta"),
    ],
)
def test_the_rules_refuse_what_a_capture_refuses(forbidden: Any) -> None:
    for device in ("cpu", "meta"):
        x = torch.ones(3, device=device)
        with pytest.raises(CaptureError), CaptureRules():
            forbidden(x)
