"""What the environment may say, and how a slip in it is told."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from reward_service.settings import RewardSettings
from reward_service.specs import (
    ClassifierSpec,
    EmbeddingSpec,
    EnsembleSpec,
    FunctionSpec,
    HeadSpec,
    SafetySpec,
    YesNoSpec,
)

ROOT = Path(__file__).parents[2]


def test_relevance_is_hosted_on_loopback_when_nothing_is_said(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    settings = RewardSettings()
    assert settings.rewards == (EmbeddingSpec(name="relevance", kind="embedding"),)
    assert (settings.reward_host, settings.reward_port) == ("127.0.0.1", 8100)


def test_rewards_are_read_from_json(monkeypatch: pytest.MonkeyPatch) -> None:
    said = [
        {"name": "a", "kind": "embedding", "device": "cpu"},
        {"name": "b", "kind": "classifier", "model": "org/rm", "label": "helpful"},
        {"name": "c", "kind": "classifier", "model": "org/rm", "label": 1, "dtype": "bfloat16"},
        {"name": "d", "kind": "function", "path": "m:f"},
        {"name": "e", "kind": "head", "model": "org/rm", "head": "ultrarm", "truncation": "right"},
        {"name": "f", "kind": "yes-no", "model": "org/lm", "length_penalty": {"weight": 1}},
        {"name": "g", "kind": "safety"},
        {"name": "h", "kind": "ensemble", "members": {"a": 1, "d": -0.5}, "normalize": "prompt"},
    ]
    monkeypatch.setenv("PRELOGIT_REWARDS", json.dumps(said))
    monkeypatch.setenv("PRELOGIT_REWARD_PORT", "8123")
    settings = RewardSettings()
    assert [type(spec) for spec in settings.rewards] == [
        EmbeddingSpec,
        ClassifierSpec,
        ClassifierSpec,
        FunctionSpec,
        HeadSpec,
        YesNoSpec,
        SafetySpec,
        EnsembleSpec,
    ]
    assert [spec.label for spec in settings.rewards if isinstance(spec, ClassifierSpec)] == [
        "helpful",
        1,
    ]
    assert settings.reward_port == 8123


def test_other_variables_in_a_shared_env_file_do_not_disturb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / ".env").write_text("PRELOGIT_MODEL=x\nPRELOGIT_REWARD_PORT=8200\nOTHER=1\n")
    monkeypatch.chdir(tmp_path)
    assert RewardSettings().reward_port == 8200


@pytest.mark.parametrize(
    "rewards",
    [
        [],
        [{"name": "a", "kind": "embeding"}],
        [{"name": "a", "kind": "classifier"}],
        [{"name": "a", "kind": "function"}],
        [{"name": "a/b", "kind": "embedding"}],
        [{"name": "a", "kind": "embedding", "modell": "x"}],
        [{"name": "a", "kind": "embedding", "max_tokens": 1}],
        [{"name": "a", "kind": "embedding"}, {"name": "a", "kind": "embedding"}],
        [{"name": "a", "kind": "classifier", "model": "m", "truncation": "middle"}],
        [{"name": "a", "kind": "classifier", "model": "m", "label": {"x": "much"}}],
        [{"name": "a", "kind": "head", "model": "m"}],
        [{"name": "a", "kind": "safety", "length_penalty": {"weight": 0}}],
        [{"name": "a", "kind": "safety", "length_penalty": {"weight": 1, "per": "word"}}],
        [{"name": "a", "kind": "ensemble", "members": {}}],
        [{"name": "a", "kind": "ensemble", "members": {"a": 1}}],
        [{"name": "b", "kind": "safety"}, {"name": "a", "kind": "ensemble", "members": {"bb": 1}}],
        [
            {"name": "c", "kind": "safety"},
            {"name": "b", "kind": "ensemble", "members": {"c": 1}},
            {"name": "a", "kind": "ensemble", "members": {"b": 1}},
        ],
    ],
)
def test_slips_are_refused(rewards: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELOGIT_REWARDS", json.dumps(rewards))
    with pytest.raises(ValidationError):
        RewardSettings()


@pytest.mark.parametrize(
    ("value", "named"),
    [
        ("relevance", "PRELOGIT_REWARDS must be a JSON list"),
        ('[{"name": "a", "kind": "classifier"}]', "PRELOGIT_REWARDS.0.CLASSIFIER.MODEL"),
    ],
)
def test_the_process_says_the_slip_in_a_line_and_ends(value: str, named: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-P", "-m", "reward_service"],
        env={"PYTHONPATH": str(ROOT), "PRELOGIT_REWARDS": value},
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ended.returncode == 2
    assert named in ended.stderr
    assert "Traceback" not in ended.stderr
