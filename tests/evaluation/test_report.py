"""The files of an evaluation."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from prelogit.evaluation.report import write_report
from tests.evaluation.made import results_of

REWARDS = {
    "aisp:n=2,iterations=3,batch_size=4": {"a": [[3.0, 0.0]] * 4, "b": [[1.0, 0.0]] * 4},
    "aisp:n=4,iterations=1,batch_size=2": {"a": [[2.0] * 4] * 2, "b": [[3.0] * 4] * 2},
    "aisp:n=4,iterations=1,batch_size=2,lambda=0.5": {"a": [[2.0] * 4] * 2, "b": [[4.0] * 4] * 2},
    "bon:n=8": {"a": [[1.0] * 8], "b": [[2.0] * 8]},
}
TABLES = {f"{name}.{kind}" for name in ("table1", "table3", "table5", "figure3", "figure4") for kind in ("md", "csv")}  # fmt: skip


def test_tables_and_figures_are_written_and_shown_in_the_report(tmp_path: Path) -> None:
    kl = dict.fromkeys(REWARDS, 2.0)
    parts = [results_of(tmp_path, REWARDS, steered_by=name, kl=kl) for name in ("one", "two")]
    written = set(write_report(parts, tmp_path))
    pictures = {"figure3.png", "figure4.png", "table3.png"}
    assert written == TABLES | pictures | {"report.md"}
    for name in pictures:
        assert (tmp_path / name).read_bytes().startswith(b"\x89PNG")
        assert f"]({name})" in (tmp_path / "report.md").read_text()
    assert "model tiny" in (tmp_path / "report.md").read_text()
    assert (tmp_path / "table1.csv").read_text().count("\n") == 9


def test_without_matplotlib_there_are_the_tables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    written = set(write_report([results_of(tmp_path, REWARDS)], tmp_path))
    assert written == TABLES | {"report.md"}
