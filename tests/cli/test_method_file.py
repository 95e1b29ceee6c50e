"""``--method-file``: what ``prelogit tune`` wrote, as a method of a job."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prelogit import Client
from tests.cli.conftest import Run
from tests.client.gateway import Gateway

REWARD = ("--reward", "tests.tiny:vowels")
HELD = {
    "name": "aisp", "n": 2, "iterations": 1, "lambda": 0.25, "sigma2": 0.75, "preset": None,
    "window": None,
}  # fmt: skip


@pytest.fixture
def file(tmp_path: Path) -> str:
    path = tmp_path / "best.json"
    path.write_text(json.dumps(HELD))
    return str(path)


def test_align_takes_the_method_and_options_change_it(
    bare: Run, model_folder: str, file: str
) -> None:
    given = (
        "align",
        "-p",
        "a",
        "--model",
        model_folder,
        *REWARD,
        "--max-new-tokens",
        "4",
        "--json",
    )
    done = bare(*given, "--method-file", file)
    assert done.code == 0, done.err
    method = done.json[0]["trace"]["method"]
    assert {name: method[name] for name in HELD} == HELD
    changed = bare(
        *given, "--method-file", file, "--n", "3", "--lambda", "auto", "--method", "aisp"
    )
    assert changed.code == 0, changed.err
    assert changed.json[0]["trace"]["method"] == {**method, "n": 3, "lambda": "auto"}


def test_submit_posts_the_method(run: Run, gateway: Gateway, file: str) -> None:
    done = run("submit", "-p", "a", "--method-file", file, "--json")
    assert done.code == 0, done.err
    with Client(gateway.url) as client:
        method = client.job(done.json["id"]).job.request["method"]
    assert {name: method[name] for name in HELD} == HELD


@pytest.mark.parametrize(
    ("text", "more", "told"),
    [
        ('{"name": "aisp", "lamda": 1}', (), "did you mean 'lambda'"),
        ("[]", (), "there is no method"),
        ("nonsense", (), "cannot be read as JSON"),
        (json.dumps(HELD), ("--method", "bon"), "holds aisp, not bon"),
        (json.dumps(HELD), ("--noise", "gaussian"), "the method aisp has no such option"),
    ],
)
def test_what_is_wrong_with_the_file_is_told(
    bare: Run, tmp_path: Path, model_folder: str, text: str, more: tuple[str, ...], told: str
) -> None:
    path = tmp_path / "best.json"
    path.write_text(text)
    done = bare(
        "align", "-p", "a", "--model", model_folder, *REWARD, "--method-file", str(path), *more
    )
    assert done.code == 2
    assert told in " ".join(done.err.replace("│", " ").split())
