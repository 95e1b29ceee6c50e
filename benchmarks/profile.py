"""Where a step of the engine spends its time: a table by part, and a flame graph.

    python -m benchmarks.profile --dtype bf16 --out profile.json --flame profile.svg

Real steps are run under torch's profiler, which notes every operator and every Python call. The
noting itself costs time in Python, so that the part "Python" looks larger than it is; operators
are hardly touched by it. The steps are the model's own forward: from the 256th on a process plays back
a record of the same operations, without the modules around them. On a GPU the times are those of
starting the kernels.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile

from benchmarks import models
from benchmarks.flame import Box, draw
from benchmarks.report import table, write
from benchmarks.steered import gaussian_plan, prefill
from prelogit.engine.engine import Engine
from prelogit.engine.load import Model
from prelogit.search.plan import SearchId

WARM = 4  # steps before it is looked at
COLOURS = {
    "products": "#e4572e",
    "head": "#f3a712",
    "attention": "#6a8ecf",
    "norms": "#7fb069",
    "rotary": "#b5d99c",
    "activation": "#d4b483",
    "noise": "#c77dff",
    "pick": "#e0aaff",
    "other": "#bdbdbd",
    "Python": "#ead7c3",
}
# The part that an operator belongs to, by the calls around it, the innermost that tells first.
_PLACES = (
    ("noise", re.compile(r"prelogit/noise\.py")),
    ("pick", re.compile(r"prelogit/engine/pick\.py")),
    ("attention", re.compile(r"prelogit/engine/(cascade|suffix|attention|graphs/\w+)\.py")),
    ("norms", re.compile(r"(?i)norm\.forward|norm_\d+$|norm$|: rms_norm|layer_norm")),
    ("rotary", re.compile(r"(?i)rotary|rotate_half")),
    ("products", re.compile(r"prelogit/engine/packed\.py|aten::linear$")),
    ("activation", re.compile(r"(?i)silu|gelu|activation")),
)
_HEAD = re.compile(r"prelogit/engine/head\.py")
_PATH = re.compile(r"^.*/(site-packages|lib/python[\d.]+)/|^.*/(?=(prelogit|benchmarks)/)")


def part_of(path: tuple[str, ...]) -> str:
    """The part of an operator, by its own name and those around it, the outermost first."""
    for name in reversed(path):
        for part, pattern in _PLACES:
            if pattern.search(name):
                at_head = part == "products" and any(_HEAD.search(one) for one in path)
                return "head" if at_head else part
    return "head" if any(_HEAD.search(one) for one in path) else "other"


def profiled(model: Model, rows: int, prompt: int, steps: int) -> Any:
    """The profiler's events, a tree, of so many steps of rows that are all live."""
    engine: Engine = model.engine()
    vocabulary = model.module.config.get_text_config().vocab_size
    prefill(engine, "p", models.prompt_ids(vocabulary, prompt), model.dim)
    plan = gaussian_plan(rows, WARM + steps + 1, model.dim, prompt="p")
    engine.add(SearchId("p"), plan)
    for _ in range(WARM):
        engine.step()
    config = torch._C._profiler._ExperimentalConfig(verbose=True)
    with profile(
        activities=[ProfilerActivity.CPU], with_stack=True, experimental_config=config
    ) as seen:
        for _ in range(steps):
            engine.step()
    return seen.profiler.kineto_results.experimental_event_tree()


def boxes(roots: Any, steps: int) -> Box:
    """The tree of calls in milliseconds a step, from the engine's own step upwards."""
    root = Box("a step", "Python")
    stack: list[tuple[Any, Box, tuple[str, ...], bool]]
    stack = [(event, root, (), False) for event in roots]
    while stack:
        event, below, path, inside = stack.pop()
        name = event.name
        inside = inside or "prelogit/engine/engine.py" in name
        inner, names = below, path
        if inside:
            names = (*path, name)
            part = part_of(names) if _operator(event) else "Python"
            inner = below.child(_short(name), part)
            inner.total += event.duration_time_ns / 1e6 / steps
        stack += [(child, inner, names, inside) for child in event.children]
    root.total = sum(box.total for box in root.inside.values())
    return root


def parts(root: Box) -> dict[str, float]:
    """Milliseconds a step of each part, what is called elsewhere not counted."""
    found = dict.fromkeys(COLOURS, 0.0)
    for box in _all(root):
        inner = sum(one.total for one in box.inside.values())
        found[box.part] += max(0.0, box.total - inner)
    return found


def main() -> None:
    """Profile, print, write."""
    parser = argparse.ArgumentParser(description=__doc__)
    models.add_options(parser)
    parser.add_argument("--dtype", choices=sorted(models.DTYPES), default="fp32")
    parser.add_argument("--rows", type=int, default=32)
    parser.add_argument("--prompt", type=int, default=128, help="tokens")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--out", type=Path, help="a JSON file")
    parser.add_argument("--flame", type=Path, help="an SVG file")
    told = parser.parse_args()
    models.set_threads(told.threads)
    model = models.endless(models.ours(told.model, told.dtype, told.device, rows=told.rows))
    root = boxes(profiled(model, told.rows, told.prompt, told.steps), told.steps)
    found = parts(root)
    title = f"A step of {told.rows} rows, {told.dtype}, prompt of {told.prompt} tokens"
    rows = [[part, ms, f"{ms / root.total:.1%}"] for part, ms in found.items()]
    print(table(title, ["part", "ms", "share"], [*rows, ["all", root.total, ""]]))
    write(told.out, "profile", told, {"step_ms": root.total, "parts_ms": found})
    if told.flame is not None:
        text = draw(root, f"{title}: {root.total:.0f} ms", COLOURS)
        told.flame.write_text(text, encoding="utf-8")


def _operator(event: Any) -> bool:
    return str(event.tag).endswith("TorchOp")


def _short(name: str) -> str:
    """Without the folders above the package, and without addresses, which are others each time."""
    return re.sub(r" at 0x[0-9a-f]+|_\d+$", "", _PATH.sub("", name))


def _all(box: Box) -> Iterator[Box]:
    yield box
    for one in box.inside.values():
        yield from _all(one)


if __name__ == "__main__":
    main()
