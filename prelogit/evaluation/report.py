"""Write an evaluation's tables and figures into its folder."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from prelogit.core.errors import InputError
from prelogit.evaluation.curves import figure3_table, figure4_table
from prelogit.evaluation.figures import draw_figures
from prelogit.evaluation.results import Results
from prelogit.evaluation.table import Table, as_csv, markdown
from prelogit.evaluation.tables import table1, table3, table5


def tables_of(parts: Sequence[Results]) -> list[Table]:
    """Those that the methods give."""
    found = [table1(parts), figure4_table(parts), table3(parts), table5(parts)]
    return [table for table in found if table is not None]


def write_report(parts: Sequence[Results], folder: Path) -> list[str]:
    """Markdown, CSV and PNG files, and ``report.md`` with all of them.

    Args:    parts: one for each reward that steered; at least one.
    Returns: names of the files. Without matplotlib there are no figures.
    """
    tables = tables_of(parts)
    written = []
    for table in [*tables, figure3_table(parts)]:
        (folder / f"{table.name}.csv").write_text(as_csv(table), encoding="utf-8")
        (folder / f"{table.name}.md").write_text(markdown(table), encoding="utf-8")
        written += [f"{table.name}.csv", f"{table.name}.md"]
    try:
        figures = draw_figures(parts, folder)
    except InputError:
        figures = []
    shown = [markdown(table) for table in tables] + [f"![{name}]({name})\n" for name in figures]
    head = ["# Evaluation\n", f"{_setting(parts)}\n"]
    (folder / "report.md").write_text("\n".join([*head, *shown]), encoding="utf-8")
    return [*written, *figures, "report.md"]


def _setting(parts: Sequence[Results]) -> str:
    """What was run, in one sentence."""
    models = {str(run.result.model.name) for run in parts[0].store.runs if run.result.model}
    seeds = ", ".join(map(str, parts[0].seeds))
    return (
        f"{len(parts[0].entries)} prompts, seeds {seeds}, model {', '.join(sorted(models)) or '-'}."
    )
