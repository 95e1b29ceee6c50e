"""A benchmark's results: a table for people, a JSON file for programs."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.machine import describe


def table(title: str, columns: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """Columns aligned to the right, the first to the left; floats with three digits."""
    cells = [list(columns), *([_cell(value) for value in row] for row in rows)]
    width = [max(len(row[i]) for row in cells) for i in range(len(columns))]
    lines = []
    for row in cells:
        first, *others = (f"{cell:>{w}}" for cell, w in zip(row, width, strict=True))
        lines.append("  ".join([f"{row[0]:<{width[0]}}" if first else "", *others]).rstrip())
    rule = "-" * max(len(line) for line in lines)
    return "\n".join(["", title, lines[0], rule, *lines[1:]])


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:.0f}" if abs(value) >= 1000 else f"{value:.3g}"
    return str(value)


def write(
    out: Path | None, program: str, arguments: argparse.Namespace, results: Mapping[str, Any]
) -> None:
    """Write results, arguments and machine, if a file was asked for.

    Called after every part, so that a run that is cut short keeps what it has.
    """
    if out is None:
        return
    told = {
        "program": program,
        "arguments": {
            name: str(v) if isinstance(v, Path) else v for name, v in vars(arguments).items()
        },
        "machine": describe(),
        **results,
    }
    out.write_text(json.dumps(_named(told), indent=1) + "\n", encoding="utf-8")


def _named(value: Any) -> Any:
    """Named tuples as objects, at any depth."""
    if hasattr(value, "_asdict"):
        return _named(value._asdict())
    if isinstance(value, Mapping):
        return {str(key): _named(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [_named(one) for one in value]
    return value
