"""``prelogit evaluate``: from a dataset to tables, also after a kill."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from prelogit.evaluation.arms import CLASSES
from tests.cli.conftest import Run
from tests.judges import likes_the_longer, running
from tests.workers import moody
from tests.workers.forked import service
from tests.workers.moody import Mood
from tests.workers.processes import environment, until

SAMPLES = Path(__file__).parents[1] / "data" / "samples"
METHODS = ("--method", "aisp:n=2,iterations=1,batch_size=1", "--method", "bon", "--method", "bon:gaussian")  # fmt: skip
VOWELS = ("--reward", "tests.tiny:vowels")


@pytest.fixture
def dataset(tmp_path: Path) -> str:
    path = tmp_path / "prompts.jsonl"
    path.write_text("".join(json.dumps({"id": p, "prompt": p}) + "\n" for p in "abcd"))
    return str(path)


def table(folder: Path, name: str = "table1") -> list[dict[str, str]]:
    with (folder / f"{name}.csv").open() as file:
        return list(csv.DictReader(file))


def lines(folder: Path) -> int:
    path = folder / "runs.jsonl"
    return len(path.read_text().splitlines()) if path.exists() else 0


def test_methods_seeds_and_rewards_become_tables_and_figures(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str
) -> None:
    out = tmp_path / "out"
    arguments = (
        "evaluate", dataset, "--out", str(out), "--model", model_folder, *METHODS,
        "--max-new-tokens", "4", "--seeds", "0,1", "--limit", "3",
        "--reward", "tests.tiny:vowels", "--reward", "tests.workers.moody:vowels",
    )  # fmt: skip
    estimate = bare(*arguments, "--estimate")
    assert "to run: 36 searches, 144 samples, at most 576 tokens, at most " in estimate.out
    assert lines(out) == 0
    done = bare(*arguments)
    assert done.code == 0, done.err
    assert lines(out) == 36
    rows = table(out)
    assert [row["method"] for row in rows] == 2 * [METHODS[1], "bon", "bon:gaussian"]
    assert {row["runs"] for row in rows} == {"6"}
    assert all(row["samples"] == "4" and row["reward se"] for row in rows)
    # Each reward has scored what the other chose; here they are the same function.
    assert rows[0]["tests.workers.moody:vowels"] == pytest.approx(rows[0]["reward"])
    assert {"figure3.png", "report.md", "table5.md"} <= {path.name for path in out.iterdir()}
    assert "## Table 1" in done.out

    again = bare(*arguments, "--json")
    assert again.json["failed"] == 0
    assert lines(out) == 36
    assert table(out) == rows


def alike(mine: list[dict[str, str]], other: list[dict[str, str]]) -> None:
    """The same cells; what a model measures but for last digits, which depend on the rows beside."""
    assert [list(row) for row in mine] == [list(row) for row in other]
    for one, two in zip(mine, other, strict=True):
        for name, cell in one.items():
            if name.startswith(("KL", "NLL", "coherence")) and cell:
                assert float(cell) == pytest.approx(float(two[name]), rel=1e-4, abs=1e-6), name
            else:
                assert cell == two[name], name


def test_a_killed_evaluation_goes_on_and_comes_to_the_same_tables(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(moody.FOLDER, str(tmp_path))
    mood = Mood(tmp_path)
    arguments = [
        "evaluate", dataset, "--model", model_folder, *METHODS, "--max-new-tokens", "4",
        "--reward", "tests.workers.moody:score",
    ]  # fmt: skip
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert bare(*arguments, "--out", str(whole)).code == 0
    mood.forget()

    mood.hold(after=40)  # the trial's 16, four prompts of AISP (16), and some of best of n
    env = {**environment(home=tmp_path / "home"), moody.FOLDER: str(tmp_path)}
    child = service("prelogit", tmp_path / "evaluate.log", env, *arguments, "--out", str(cut))
    until(lambda: mood.holds, "the reward holds the evaluation")
    until(lambda: lines(cut) >= 4, "the first runs are stored")
    child.kill()
    stored = lines(cut)
    assert 4 <= stored < 12
    mood.clear()
    mood.forget()

    done = bare(*arguments, "--out", str(cut))
    assert done.code == 0, done.err
    assert f"to run: {12 - stored} searches" in " ".join(done.err.split())
    # Four samples a search, and no search twice; no trial either, for the rate is known.
    assert sum(len(mood.calls(prompt)) for prompt in "abcd") == 4 * (12 - stored)
    alike(table(cut), table(whole))
    alike(table(cut, "figure3"), table(whole, "figure3"))


def test_more_methods_seeds_and_prompts_run_only_what_is_new(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str
) -> None:
    out = tmp_path / "out"
    given = ("evaluate", dataset, "--out", str(out), "--model", model_folder, "--max-new-tokens", "4", *VOWELS)  # fmt: skip
    assert bare(*given, "--method", "bon:n=2", "--limit", "2").code == 0
    assert lines(out) == 2
    done = bare(*given, "--method", "bon:n=2", "--method", "bon:gaussian,n=2", "--limit", "3")
    assert done.code == 0, done.err
    assert lines(out) == 6
    other = bare(*given[:-4], "--max-new-tokens", "5", *VOWELS)
    assert other.code == 2
    assert "max_new_tokens" in other.err


@pytest.mark.parametrize(
    ("sample", "preprocess", "prompts"),
    [("hh.jsonl", "none", 3), ("hh.jsonl", "paper", 3), ("shp.jsonl", "paper", 2)],
)
def test_shp_and_hh_rlhf_are_read(
    bare: Run, tmp_path: Path, model_folder: str, sample: str, preprocess: str, prompts: int
) -> None:
    done = bare(
        "evaluate", str(SAMPLES / sample), "--preprocess", preprocess, "--out", str(tmp_path / "o"),
        "--model", model_folder, "--method", "bon:n=2", "--max-new-tokens", "4", *VOWELS,
    )  # fmt: skip
    assert done.code == 0, done.err
    (row,) = table(tmp_path / "o")
    assert row["runs"] == str(prompts)
    held = json.loads((tmp_path / "o" / "setup.json").read_text())
    assert held["template"] == ("none" if preprocess == "paper" else "chat")


def test_a_prompt_that_fails_leaves_the_others_and_ends_with_1(
    bare: Run, tmp_path: Path, model_folder: str
) -> None:
    path = tmp_path / "prompts.jsonl"
    path.write_text(json.dumps({"prompt": "a"}) + "\n" + json.dumps({"prompt": "a" * 500}) + "\n")
    done = bare(
        "evaluate", str(path), "--out", str(tmp_path / "o"), "--model", model_folder,
        "--method", "bon:n=2", "--max-new-tokens", "4", *VOWELS,
    )  # fmt: skip
    assert done.code == 1
    assert "p2: failed" in done.err
    assert table(tmp_path / "o")[0]["runs"] == "1"


def test_a_judge_is_asked_once_about_each_answer_beside_the_reference(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str
) -> None:
    given = (
        "evaluate", dataset, "--out", str(tmp_path / "o"), "--model", model_folder, "--limit", "3",
        "--method", "bon:n=2", "--method", "bon:gaussian,n=2", "--reference", "bon:n=2",
        "--max-new-tokens", "4", *VOWELS,
    )  # fmt: skip
    with running(likes_the_longer) as server:
        asked = (*given, "--judge", server.url, "--judge-model", "wise")
        done = bare(*asked)
        assert done.code == 0, done.err
        assert len(server.seen) == 6
        assert bare(*asked).code == 0
        assert len(server.seen) == 6
    runs = [json.loads(line) for line in (tmp_path / "o" / "runs.jsonl").read_text().splitlines()]
    length = {(r["method"]["noise"], r["result"]["prompt_id"]): len(r["result"]["response"]) for r in runs}  # fmt: skip
    pairs = [(length["gaussian", p], length[None, p]) for p in "abc"]
    worth = [1.0 if mine > theirs else 0.5 if mine == theirs else 0.0 for mine, theirs in pairs]
    reference, other = table(tmp_path / "o")
    column = "wins over bon:n=2 (wise)"
    assert float(other[column]) == pytest.approx(sum(worth) / 3)
    assert reference[column] == ""
    # What is known stays in the table, also when nobody is asked.
    assert bare(*given).code == 0
    assert table(tmp_path / "o")[1][column] == other[column]


def test_every_method_can_be_compared(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str
) -> None:
    names = [
        name
        for name, params in CLASSES.items()
        if not any(field.is_required() for field in params.model_fields.values())
    ]
    methods = [word for name in names if name != "aisp" for word in ("--method", name)]
    done = bare(
        "evaluate", dataset, "--out", str(tmp_path / "o"), "--model", model_folder, *methods,
        "--method", "aisp:n=2,iterations=1", "--max-new-tokens", "4", "--limit", "1", *VOWELS,
    )  # fmt: skip
    assert done.code == 0, done.err
    rows = table(tmp_path / "o")
    assert [row["runs"] for row in rows] == ["1"] * len(names)
    assert all(float(row["NLL"]) > 0 for row in rows)


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (("--judge", "http://127.0.0.1:9"), "--judge-model"),
        (("--method", "ais"), "did you mean 'aisp'"),
        (("--method", "collect:value=x"), "prelogit value"),
        (("--cost", "money"), "samples, tokens, seconds"),
        (("--seeds", "a"), "seeds"),
        (("--preprocess", "ours"), "none, paper"),
        (("--reference", "aisp"), "reference"),
        (("--skip", "9"), "skip fewer"),
        (("--reward", "relevanze"), "did you mean"),
        (("--vary", "lamda=1"), "no parameter 'lamda'"),
        (("--batched", "5"), "8, 16"),
    ],
)
def test_what_cannot_be_run_is_told(
    bare: Run, tmp_path: Path, dataset: str, model_folder: str, given: tuple[str, ...], told: str
) -> None:
    done = bare(
        "evaluate", dataset, "--out", str(tmp_path / "o"), "--model", model_folder,
        "--method", "bon:n=2", *VOWELS, *given,
    )  # fmt: skip
    assert done.code == 2, done.err
    assert told in " ".join(done.err.split())
