"""Peak memory above the loaded model against prompt length and n, ours and ``generate``'s.

    python -m benchmarks.memory --out memory.json
    python -m benchmarks.memory --lengths 128 2048 --samples 1 32 --peers

Every cell runs in a process of its own: on CPU its peak is that of resident memory, on CUDA that of
the allocator. "prefix" is what a prompt keeps once it is prefilled, "prefill" the peak while that
is computed, "decode" the peak of what follows. The last table says what one more prompt token costs
at each n, by the difference between the longest and the shortest prompt: with a shared prefix that
is the same for every n, with ``generate`` it grows with n.

With its defaults it takes about half an hour on two cores. The largest cell of ``generate`` needs about 10 GB.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import models
from benchmarks.report import table, write

MIB = 1 << 20
# Large pieces come straight from the system and go straight back: then resident memory is what is held.
_ENVIRONMENT = {"MALLOC_MMAP_THRESHOLD_": "65536", "MALLOC_ARENA_MAX": "2"}


def measure(args: argparse.Namespace, who: str, length: int, n: int) -> dict[str, Any]:
    """One cell, in a fresh process; without numbers where that was killed or failed."""
    given: dict[str, Any] = {"who": who, "length": length, "n": n}
    given |= {key: getattr(args, key) for key in ("model", "device", "dtype", "tokens", "threads")}
    options = [str(x) for name, value in given.items() for x in (f"--{name}", value)]
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.memory_child", *options],
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        env={**os.environ, **_ENVIRONMENT},
        cwd=Path(__file__).parents[1],
    )
    cell: dict[str, Any] = {"who": who, "length": length, "n": n, "exit": done.returncode}
    if done.returncode == 0:
        cell.update(json.loads(done.stdout.splitlines()[-1]))
    return cell


def slopes(cells: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Bytes that one more prompt token costs, by who and n: lasting and at the peak."""
    found = []
    for who, n in dict.fromkeys((cell["who"], cell["n"]) for cell in cells):
        mine = [c for c in cells if c["who"] == who and c["n"] == n and "peak" in c]
        mine.sort(key=lambda cell: int(cell["length"]))
        if len(mine) < 2:
            continue
        short, long = mine[0], mine[-1]
        apart = long["length"] - short["length"]
        parts = [part for part in ("prefix", "decode", "peak") if part in short]
        each: dict[str, float] = {part: (long[part] - short[part]) / apart for part in parts}
        found.append({"who": who, "n": n, **each})
    return found


def show(cells: list[dict[str, Any]]) -> str:
    """Both tables, in MiB and in KiB a token."""
    parts = ("prefix", "prefill", "decode", "peak")
    lines = [
        [
            cell["who"],
            cell["length"],
            cell["n"],
            *(cell[part] / MIB if part in cell else None for part in parts),
        ]
        for cell in cells
    ]
    heads = ["MiB above the model", "prompt", "n", *parts]
    told = table("Peak memory", heads, lines)
    costs = [
        [s["who"], s["n"], *(s[p] / 1024 if p in s else None for p in ("prefix", "decode", "peak"))]
        for s in slopes(cells)
    ]
    heads = ["KiB a prompt token", "n", "prefix", "decode", "peak"]
    return "\n".join([told, table("What one more prompt token costs", heads, costs)])


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models.add_options(parser)
    parser.add_argument("--dtype", choices=models.DTYPES, default="fp32")
    parser.add_argument("--lengths", type=int, nargs="+", default=[128, 512, 2048])
    parser.add_argument("--samples", type=int, nargs="+", default=[1, 8, 32, 64], metavar="N")
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--peers", nargs="*", choices=["generate"], default=["generate"])
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Measure cell by cell."""
    args = arguments()
    cells: list[dict[str, Any]] = []
    for who in ("ours", *args.peers):
        for n in args.samples:
            for length in args.lengths:
                cells.append(measure(args, who, length, n))
                write(args.out, "memory", args, {"cells": cells, "slopes": slopes(cells)})
    print(show(cells))


if __name__ == "__main__":
    main()
