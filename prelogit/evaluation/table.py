"""A table as markdown for people and as CSV for programs."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from prelogit.evaluation.estimate import Estimate

Cell = str | int | float | Estimate | None


class Table(NamedTuple):
    """``name`` is its file's; ``note`` says how to read it."""

    name: str
    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Cell]]
    note: str


def markdown(table: Table) -> str:
    """With its title above and its note below."""
    lines = [f"## {table.title}", "", _line(table.columns), _line("---" for _ in table.columns)]
    lines += [_line(_shown(cell) for cell in row) for row in table.rows]
    return "\n".join([*lines, "", table.note, ""])


def as_csv(table: Table) -> str:
    """An estimate takes three columns: mean, standard error, and prompts."""
    wide = [
        any(isinstance(row[place], Estimate) for row in table.rows)
        for place in range(len(table.columns))
    ]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    head: list[str] = []
    for name, is_wide in zip(table.columns, wide, strict=True):
        head += [name, f"{name} se", f"{name} prompts"] if is_wide else [name]
    writer.writerow(head)
    for row in table.rows:
        cells: list[object] = []
        for cell, is_wide in zip(row, wide, strict=True):
            if is_wide:
                cells += list(cell) if isinstance(cell, Estimate) else [None, None, None]
            else:
                cells.append(cell)
        writer.writerow(cells)
    return out.getvalue()


def _line(cells: Iterable[str]) -> str:
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _shown(cell: Cell) -> str:
    if cell is None:
        return "-"
    if isinstance(cell, float):
        return f"{cell:,.0f}" if cell.is_integer() or abs(cell) >= 1000 else f"{cell:.2f}"
    return str(cell)
