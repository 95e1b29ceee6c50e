"""Which numbers a processor decodes with faster: float32, or bfloat16 where it has units for it.

Measured, because flags do not tell: with matrix units bfloat16 is several times as fast, with
vector units a little, and without either much slower. Measured once a machine, because two
processes that choose differently would give different answers.
"""

from __future__ import annotations

import platform
import time
from pathlib import Path
from typing import NamedTuple

import torch
from torch import nn

from prelogit.core.measured import keep_measured, read_measured
from prelogit.engine.packed import PackedLinear

# bfloat16 must win by this much: its answers are not the float32 model's to the last token.
_CLEARLY = 1.2
_ROWS, _WIDTH, _LAYERS, _ROUNDS = 32, 1024, 8, 5
_CALLS = 3


class Faster(NamedTuple):
    """float32's seconds over bfloat16's for the same layers, and what follows."""

    ratio: float
    dtype: torch.dtype


def faster_dtype(home: Path) -> torch.dtype:
    """What "auto" means on this processor; measured if the home folder does not tell."""
    machine = f"{_processor()}, torch {torch.__version__}"
    kept = read_measured(home, machine)
    if kept.get("dtype") in ("float32", "bfloat16"):
        found: torch.dtype = getattr(torch, kept["dtype"])
        return found
    faster = measure()
    name = str(faster.dtype).removeprefix("torch.")
    keep_measured(
        home, {"machine": machine, "dtype": name, "bfloat16_over_float32": round(faster.ratio, 2)}
    )
    return faster.dtype


@torch.inference_mode()
def measure() -> Faster:
    """Time a few packed layers in both, in turns; a quarter of a second or so."""
    try:
        ways = {dtype: _layers(dtype) for dtype in (torch.float32, torch.bfloat16)}
        seconds = dict.fromkeys(ways, float("inf"))
        for _ in range(_ROUNDS):
            for dtype, (layers, x) in ways.items():
                seconds[dtype] = min(seconds[dtype], _timed(layers, x))
    except (AttributeError, RuntimeError):  # no packed layers here, or none of bfloat16
        return Faster(0.0, torch.float32)
    ratio = seconds[torch.float32] / seconds[torch.bfloat16]
    return Faster(ratio, torch.bfloat16 if ratio > _CLEARLY else torch.float32)


def _layers(dtype: torch.dtype) -> tuple[list[PackedLinear], torch.Tensor]:
    generator = torch.Generator().manual_seed(0)  # the caller's stream is left alone
    layers = []
    for _ in range(_LAYERS):
        linear = nn.Linear(_WIDTH, _WIDTH, bias=False, dtype=dtype, device="meta").to_empty(
            device="cpu"
        )
        linear.weight.copy_(torch.randn(_WIDTH, _WIDTH, generator=generator))
        layers.append(PackedLinear(linear))
    return layers, torch.randn(_ROWS, _WIDTH, generator=generator).to(dtype)


def _timed(layers: list[PackedLinear], x: torch.Tensor) -> float:
    """CPU seconds of this process: what else runs on the machine counts less."""
    start = time.process_time()
    for _ in range(_CALLS):
        for layer in layers:
            layer(x)
    return time.process_time() - start


def _processor() -> str:
    """The processor's name, and what torch uses of it."""
    name = platform.processor() or platform.machine()
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                name = line.partition(":")[2].strip()
                break
    except OSError:
        pass  # not Linux
    return f"{name} ({torch.backends.cpu.get_cpu_capability()})"
