"""The scaling benchmark in a tiny form."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import scaling
from tests.benchmarks.conftest import Run


def test_table_json_and_plot(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scaling, "MIDDLE", {"n": 4, "iterations": 1, "b": 1, "tokens": 8})
    plot = tmp_path / "plot.png"
    printed, told = run(scaling.main, "--largest", 8, "--rounds", 2, "--plot", plot)
    assert {axis: [at["value"] for at in row] for axis, row in told["axes"].items()} == {
        "n": [4, 8],
        "iterations": [1, 2, 4, 8],
        "b": [1, 2, 4, 8],
        "tokens": [8],
    }
    for axis, row in told["axes"].items():
        assert scaling.LABELS[axis] in printed
        assert all(at["seconds"]["cpu"] > 0 and at["tokens_a_second"] > 0 for at in row)
    # The middle point belongs to every axis and is measured once a round.
    assert len(told["laps"]) == 2 + 3 + 3
    assert all(len(laps) == 2 for laps in told["laps"].values())
    assert plot.read_bytes().startswith(b"\x89PNG")
