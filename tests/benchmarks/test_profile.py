"""The profile in a tiny form."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree

import pytest

from benchmarks import profile
from benchmarks.flame import Box, draw
from tests.benchmarks.conftest import Run


def test_table_json_and_flame_graph(run: Run, tmp_path: Path) -> None:
    flame = tmp_path / "profile.svg"
    printed, told = run(profile.main, "--rows", 4, "--prompt", 9, "--steps", 3, "--flame", flame)
    parts = told["parts_ms"]
    for part in ("products", "head", "attention", "norms", "rotary", "noise", "pick", "Python"):
        assert parts[part] > 0, part
        assert part in printed
    assert sum(parts.values()) == pytest.approx(told["step_ms"], rel=0.05)
    svg = flame.read_text(encoding="utf-8")
    ElementTree.fromstring(svg)
    assert "draw" in svg
    assert len(svg) < 300_000


@pytest.mark.parametrize(
    ("path", "part"),
    [
        (("prelogit/engine/engine.py(1): step", "aten::mul"), "other"),
        (("nn.Module: LlamaRMSNorm_3", "aten::mul"), "norms"),
        (("x/modeling_llama.py(1): apply_rotary_pos_emb", "aten::mul"), "rotary"),
        (("nn.Module: LlamaMLP_0", "prelogit/engine/packed.py(9): forward", "aten::x"), "products"),
        (("prelogit/engine/head.py(1): logits", "prelogit/engine/packed.py(9): f"), "head"),
        (("prelogit/engine/head.py(1): logits", "aten::tanh"), "head"),
        (("prelogit/engine/draw.py(1): d", "prelogit/noise.py(77): normal_rows", "a"), "noise"),
    ],
)
def test_the_innermost_call_that_tells_names_the_part(path: tuple[str, ...], part: str) -> None:
    assert profile.part_of(path) == part


def test_boxes_are_as_wide_as_their_time() -> None:
    root = Box("all", "Python", 4.0)
    for name, total in (("a<b", 1.0), ("c", 3.0)):
        root.child(name, "other").total = total
    svg = ElementTree.fromstring(draw(root, "title", {"Python": "#000", "other": "#111"}))
    found = {
        group[0].text: float(group[1].attrib["width"])
        for group in svg.iter("{http://www.w3.org/2000/svg}g")
    }
    wide = {str(text).split(":")[0]: width for text, width in found.items()}
    assert wide["c"] == pytest.approx(3 * wide["a<b"], rel=0.01)
    assert wide["all"] == pytest.approx(wide["c"] + wide["a<b"], rel=0.01)
