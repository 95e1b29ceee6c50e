from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import LlamaConfig

from benchmarks import floor
from tests.tiny import language_model, tokenizer

Run = Callable[..., tuple[str, dict[str, Any]]]


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny random model, as a user would have it on disk."""
    path = tmp_path_factory.mktemp("benchmarks") / "tiny"
    config = LlamaConfig(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=257,
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=0,
        pad_token_id=0,
    )
    language_model(config).save_pretrained(path)
    tokenizer().save_pretrained(path)
    return path


@pytest.fixture
def run(
    folder: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Run:
    """Runs a program's main on the tiny model: what it printed, and its JSON."""
    # Threads are a setting of the whole process: the programs' own call would outlive the test.
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(floor, "COPIED", 1 << 20)

    def go(main: Callable[[], None], *options: object) -> tuple[str, dict[str, Any]]:
        out = tmp_path / "out.json"
        words = ["--model", folder, "--out", out, *options]
        monkeypatch.setattr(sys, "argv", ["program", *map(str, words)])
        main()
        return capsys.readouterr().out, json.loads(out.read_text(encoding="utf-8"))

    return go
