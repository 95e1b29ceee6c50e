"""``prelogit value``: from prompts to a network that ``align`` decodes with."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli.conftest import Run

REWARD = ("--reward", "tests.tiny:vowels")
PROMPTS = ("-p", "a", "-p", "b", "-p", "c", "-p", "d")


def test_collect_train_and_decode(
    bare: Run, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRELOGIT_HOME", str(tmp_path))
    collect = (
        "value", "collect", "vowels", *PROMPTS, "--model", model_folder, *REWARD, "--n", "4",
        "--temperature", "1.0", "--max-new-tokens", "6",
    )  # fmt: skip
    done = bare(*collect, "--json")
    assert done.code == 0, done.err
    assert done.json == {"prompts": 4, "responses": 16, "already": 0, "failed": {}}
    again = bare(*collect)
    assert again.code == 0
    assert "4 prompts were there already" in again.out
    train = ("value", "train", "vowels", "--epochs", "3", "--width", "8", "--decay", "0")
    trained = bare(*train, "--json").json
    assert len(trained["curve"]) == 3
    assert (trained["prompts"], trained["responses"], trained["width"]) == (3, 12, 8)
    assert trained["fitting"]["decay"] == 0
    shown = bare(*train)
    assert "epoch 3: loss" in shown.err
    assert "12 responses of 3 prompts" in shown.out
    align = ("align", *PROMPTS, "--model", model_folder, *REWARD, "--max-new-tokens", "6")
    steered = bare(*align, "--method", "recontrol", "--value", "vowels", "--steps", "2", "--json")
    assert steered.code == 0, steered.err
    assert [one["samples"] for one in steered.json] == [1] * 4
    assert steered.json[0]["kl"]["token_exact"] is not None


def test_what_is_wrong_is_told(
    bare: Run, model_folder: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRELOGIT_HOME", str(tmp_path))
    bad = bare("value", "collect", "../x", *PROMPTS)
    assert bad.code == 2
    assert "NAME" in bad.err
    assert bare("value", "collect", "x", *PROMPTS, "--top-p", "2").code == 2
    nothing = bare("value", "train", "x")
    assert nothing.code == 2
    assert "prelogit value collect" in nothing.err
    missing = bare("align", *PROMPTS, "--method", "recontrol")
    assert missing.code == 2
    assert "--value" in missing.err
    align = ("align", *PROMPTS, "--model", model_folder, *REWARD)
    unknown = bare(*align, "--method", "recontrol", "--value", "x")
    assert unknown.code == 2
    assert "there is no value 'x'" in unknown.err


@pytest.mark.parametrize("command", ["collect", "train"])
def test_the_help_is_there(bare: Run, command: str) -> None:
    assert " value " in bare("--help").out
    assert f" {command} " in bare("value", "--help").out
    assert "--json" in bare("value", command, "--help").out
