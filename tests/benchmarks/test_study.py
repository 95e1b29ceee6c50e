"""The study's programs on a tiny model: cells are kept, never run twice, and become tables."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from benchmarks import study, study_tables
from benchmarks.steering_rewards import flesch, sentiment
from benchmarks.study_cells import Cell, Chosen, Study, read
from benchmarks.study_estimates import margin, ratio
from benchmarks.study_tables import half

FLESCH = "benchmarks.steering_rewards:flesch"


def made(arm: str, steer: str | None, prompt: str, rounds: list[list[float]], cpu: float) -> Cell:
    return Cell(
        "m", arm, steer, 0, prompt, {"flesch": rounds}, {"flesch": Chosen("a", 1, 1.0, {})}, cpu, 1
    )


def test_cells_are_kept_and_run_once_and_shared_by_rewards(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    cells = tmp_path / "cells.jsonl"
    words = [
        "study", cells, "--model", folder, "--limit", "2", "--tokens", "6", "--reward", FLESCH,
        "--method", "bon:n=8", "--method", "bon:gaussian,n=8", "--method", "aisp:n=4,iterations=1",
    ]  # fmt: skip
    monkeypatch.setattr(sys, "argv", [str(word) for word in words])
    study.main()
    first = cells.read_text()
    found = list(read(cells))
    assert [(cell.arm, cell.steer) for cell in found] == [
        ("bon:n=8", None), ("bon:n=8", None),
        ("bon:gaussian,n=8", None), ("bon:gaussian,n=8", None),
        ("aisp:n=4,iterations=1", "flesch"), ("aisp:n=4,iterations=1", "flesch"),
    ]  # fmt: skip
    for cell in found:
        chosen = cell.chosen["flesch"]
        assert len(cell.flat("flesch")) == 8
        assert cell.best("flesch") == pytest.approx(chosen.rewards["flesch"], abs=1e-3)
        assert flesch([], [chosen.text]) == [pytest.approx(chosen.rewards["flesch"])]
        assert chosen.nll is None or chosen.nll > 0
    study.main()
    assert cells.read_text() == first

    capsys.readouterr()
    monkeypatch.setattr(
        sys, "argv", ["tables", str(cells), "--model", found[0].model, "--top", "bon:n=8",
                      "--search", "aisp:n=4,iterations=1", "--figure", str(tmp_path / "f.png")]
    )  # fmt: skip
    study_tables.main()
    printed = capsys.readouterr().out
    assert "| aisp:n=4,iterations=1 | 8 | flesch | 2 x 1 |" in printed
    assert (tmp_path / "f.png").stat().st_size > 1000


def test_a_cut_off_line_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / "cells.jsonl"
    study.append(path, [made("bon:n=2", None, "p", [[1.0, 2.0]], 1.0)])
    with path.open("a") as file:
        file.write('{"model": "m", "arm')
    assert [cell.best("flesch") for cell in read(path)] == [2.0]


def test_differences_are_paired_and_seeds_are_no_prompts() -> None:
    one = [
        made("aisp", "flesch", "p", [[1.0], [5.0]], 3.0),
        made("aisp", "flesch", "q", [[2.0], [4.0]], 1.0),
    ]
    two = [
        made("bon:n=2", None, "p", [[3.0, 2.0]], 1.0),
        made("bon:n=2", None, "q", [[3.0, 1.0]], 1.0),
    ]
    table = Study({("aisp", "flesch"): one, ("bon:n=2", None): two})
    found = margin(table, "aisp", "bon:n=2", "flesch")
    assert found is not None
    assert (found.mean, found.se, found.prompts) == (1.5, 0.5, 2)
    assert ratio(table, "aisp", "bon:n=2", "flesch") == 2.0
    # The mean curve is 1.5 after one sample and 4.5 after two; the target is 3.
    assert list(half(table, "aisp", "bon:n=2").rows[0][1:5]) == [2, 3.0, 2, 2]


def test_rewards_are_as_their_sources_have_them() -> None:
    # 3 words, 1 sentence, 3 syllables; none; a final e is silent, that of -le is not.
    assert flesch([], ["The cat sat."])[0] == pytest.approx(206.835 - 1.015 * 3 - 84.6)
    assert flesch([], ["..."]) == [-100.0]
    assert flesch([], ["Like"])[0] - flesch([], ["Apple"])[0] == pytest.approx(84.6)
    good, plain, bad = sentiment([], ["A wonderful, happy day!", "A table.", "A terrible loss."])
    assert good > plain == 0.0 > bad
