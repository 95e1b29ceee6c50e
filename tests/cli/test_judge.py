"""``prelogit judge``: two files of answers, and a judge that really answers."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prelogit.core.records import Result
from tests.cli.conftest import Run
from tests.judges import Reply, likes_the_longer, running

KEY = "sk-a-secret-of-the-judge"
MODEL = ("--model", "wise", "--patience-seconds", "0.05")


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, ...]:
    """Ours, theirs and the prompts: ours is longer twice, shorter once; p4 failed, p5 is ours alone."""
    ours = {"p1": "much longer", "mine": "longer too", "p3": "no", "p4": None, "p5": "alone"}
    theirs = {"p1": "short", "mine": "brief", "p3": "well, yes", "p4": "x"}
    for name, answers in (("a", ours), ("b", theirs)):
        lines = [
            Result(prompt_id=key, response=text).model_dump_json() for key, text in answers.items()
        ]
        (tmp_path / f"{name}.jsonl").write_text("\n".join(lines))
    asked = [{"prompt": "One?"}, {"id": "mine", "prompt": "Two?"}, {"prompt": "Three?"}]
    asked += [{"prompt": "Four?"}, {"prompt": "Five?"}]
    (tmp_path / "prompts.jsonl").write_text("\n".join(map(json.dumps, asked)))
    paths = [str(tmp_path / f"{name}.jsonl") for name in ("a", "b", "prompts")]
    return ("judge", *paths[:2], "--prompts", paths[2])


def test_the_win_rate_of_two_files(
    bare: Run, files: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MY_KEY", KEY)
    out = tmp_path / "verdicts.jsonl"
    with running(likes_the_longer) as server:
        command = (*files, "--url", server.url, *MODEL, "--key-env", "MY_KEY")
        done = bare(*command, "--out", str(out), "--body", '{"seed": 4}', "--json")
        shown = bare(*command)
    assert done.code == 0, done.err
    assert {name: done.json[name] for name in ("pairs", "wins", "ties", "losses", "unparsed")} == {
        "pairs": 3, "wins": 2, "ties": 0, "losses": 1, "unparsed": 0,
    }  # fmt: skip
    assert done.json["win_rate"] == pytest.approx(2 / 3)
    assert done.json["tokens"] == 60
    assert [one["prompt_id"] for one in done.json["missing"]] == ["p4", "p5"]
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert [(row["prompt_id"], row["outcome"]) for row in rows] == [
        ("p1", "win"),
        ("mine", "win"),
        ("p3", "loss"),
    ]
    assert rows[0]["forward"]["choice"] == "first"
    assert rows[0]["backward"]["said"] == "It is longer.\n[[B]]"
    assert server.seen[0]["seed"] == 4
    assert server.headers[0]["authorization"] == f"Bearer {KEY}"
    assert "0.667 ± 0.333" in shown.out
    assert "p4: has no answer in the first file" in shown.err
    assert KEY not in done.out + done.err + shown.out + shown.err + out.read_text()


def test_what_came_before_a_judge_fell_silent_is_kept(
    bare: Run, files: tuple[str, ...], tmp_path: Path
) -> None:
    def tired(first: str, second: str, count: int) -> Reply:
        return likes_the_longer(first, second, count) if count <= 2 else Reply(status=503)

    out = tmp_path / "verdicts.jsonl"
    with running(tired) as server:
        done = bare(*files, "--url", server.url, *MODEL, "--out", str(out), "--at-once", "1")
    assert done.code == 1
    assert "the judge at" in done.err
    assert len(out.read_text().splitlines()) == 1


def test_only_nonsense_ends_with_1(bare: Run, files: tuple[str, ...]) -> None:
    with running(lambda *_: Reply("Both, somehow.")) as server:
        done = bare(*files, "--url", server.url, *MODEL, "--json")
    assert done.code == 1
    assert (done.json["unparsed"], done.json["ties"], done.json["win_rate"]) == (3, 0, None)


def test_what_is_wrong_is_told(bare: Run, files: tuple[str, ...], tmp_path: Path) -> None:
    command = (*files, "--url", "http://127.0.0.1:9", *MODEL)
    assert bare(*command, "--body", "[1]").code == 2
    unset = bare(*command, "--key-env", "NOT_SET_ANYWHERE")
    assert unset.code == 2
    assert "is not set" in unset.err
    assert bare(*command, "--out", str(tmp_path / "x.csv")).code == 2
    unknown = bare(*files[:3], "--url", "http://127.0.0.1:9", *MODEL)
    assert unknown.code == 2
    assert "--prompts" in unknown.err
    (tmp_path / "c.jsonl").write_text('{"prompt_id": "other", "response": "x"}')
    nothing = bare("judge", files[1], str(tmp_path / "c.jsonl"), *command[3:])
    assert nothing.code == 2
    assert "nothing can be compared" in nothing.err
