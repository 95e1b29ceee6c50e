"""``prelogit tune``: from training prompts to a file of parameters."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tests.workers import moody
from tests.workers.forked import service
from tests.workers.moody import Mood
from tests.workers.processes import environment, until

SMALL = ("--method", "aisp:proposal=mean,n=2,iterations=1,batch_size=1", "--max-new-tokens", "4")
VOWELS = ("--reward", "tests.tiny:vowels")
GRID = ("--grid", "lambda=auto,0.5", "--grid", "sigma2=0.3,0.5")


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": p, "prompt": p}) + "\n" for p in "abcd"))
    return str(path)


def trials(folder: Path) -> list[dict[str, str]]:
    with (folder / "trials.csv").open() as file:
        return list(csv.DictReader(file))


def lines(folder: Path) -> int:
    path = folder / "runs.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_a_grid_gives_a_table_and_a_file_that_commands_take(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str
) -> None:
    out = tmp_path / "out"
    given = ("tune", dataset, "--out", str(out), "--model", model_folder, *SMALL, *VOWELS, *GRID)
    estimate = bare(*given, "--estimate")
    assert "to run: 16 searches, 64 samples" in estimate.out
    done = bare(*given)
    assert done.code == 0, done.err
    rows = trials(out)
    assert [row["state"] for row in rows] == ["complete"] * 4
    assert {(row["lambda"], row["sigma2"]) for row in rows} == {
        ("auto", "0.3"), ("auto", "0.5"), ("0.5", "0.3"), ("0.5", "0.5"),
    }  # fmt: skip
    rewards = [float(row["reward"]) for row in rows]
    assert rewards == sorted(rewards, reverse=True)
    best = json.loads((out / "best.json").read_text())
    assert (str(best["lambda"]), str(best["sigma2"])) == (rows[0]["lambda"], rows[0]["sigma2"])
    assert "trial 0" in done.err
    assert bare(*given, "--json").json["best"] == best
    assert lines(out) == 16

    confirmed = bare(
        "evaluate", dataset, "--out", str(tmp_path / "confirmed"), "--model", model_folder,
        "--method-file", str(out / "best.json"), "--method", "bon", "--max-new-tokens", "4",
        *VOWELS, "--json",
    )  # fmt: skip
    assert confirmed.code == 0, confirmed.err


def test_optuna_goes_on_after_a_kill(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(moody.FOLDER, str(tmp_path))
    mood = Mood(tmp_path)
    given = [
        "tune", dataset, "--model", model_folder, *SMALL, "--reward", "tests.workers.moody:score",
        "--search", "optuna", "--trials", "4", "--grid", "sigma2=0.1..2", "--prune-after", "0.5",
    ]  # fmt: skip
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    done = bare(*given, "--out", str(whole))
    assert done.code == 0, done.err
    mood.forget()

    mood.hold(after=46)  # the measured rate's 16, and seven or eight searches of four
    env = {**environment(home=tmp_path / "home"), moody.FOLDER: str(tmp_path)}
    child = service("prelogit", tmp_path / "tune.log", env, *given, "--out", str(cut))
    until(lambda: mood.holds, f"the reward holds it: {child.said}")
    until(lambda: lines(cut) >= 6, "the first runs are stored")
    child.kill()
    stored = lines(cut)
    mood.clear()
    mood.forget()

    assert bare(*given, "--out", str(cut)).code == 0
    again = [{k: v for k, v in row.items() if k != "seconds"} for row in trials(cut)]
    assert again == [{k: v for k, v in row.items() if k != "seconds"} for row in trials(whole)]
    assert sum(len(mood.calls(prompt)) for prompt in "abcd") == 4 * (lines(whole) - stored)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--search", "random"), "grid, optuna"),
        (("--grid", "sigma2=0.1..2"), "optuna"),
        (("--grid", "lamda=1"), "no parameter 'lamda'"),
        (("--method", "greedily"), "there is no method"),
        (("--method", "collect:value=x"), "prelogit value"),
        (("--seeds", "-1"), "seeds"),
    ],
)
def test_what_cannot_be_tuned_is_told(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str, given: tuple[str, ...], told: str
) -> None:
    done = bare("tune", dataset, "--out", str(tmp_path / "o"), "--model", model_folder, *given)
    assert done.code == 2, done.err
    assert told in " ".join(done.err.split())


def test_a_file_of_several_methods_is_refused(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str
) -> None:
    path = tmp_path / "methods.json"
    path.write_text(json.dumps([{"name": "aisp"}, {"name": "bon"}]))
    done = bare(
        "tune", dataset, "--out", str(tmp_path / "o"), "--model", model_folder,
        "--method-file", str(path),
    )  # fmt: skip
    assert done.code == 2
    assert "has 2 methods" in done.err
