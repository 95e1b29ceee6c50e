"""The scoring benchmark in a tiny form."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import BertConfig, BertForSequenceClassification

from benchmarks import scoring
from prelogit.rewards.hosted import forward
from tests.benchmarks.conftest import Run

SMALL = ("--n", 5, "--prompt", 40, "--response", 8, "--rounds", 2)


def test_table_and_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    passes: list[tuple[int, int]] = []
    monkeypatch.setattr(forward, "WORTH", 1)
    pad = forward.pad

    def seeing(rows: Any, fill: int, device: Any) -> Any:
        ids, mask = pad(rows, fill, device)
        passes.append(tuple(ids.shape))
        return ids, mask

    monkeypatch.setattr(forward, "pad", seeing)
    printed, told = run(scoring.main, *SMALL)
    for word in ("alone", "batch", "shared", "< 0.5"):
        assert word in printed
    found = told["scoring"]
    assert found["ratio"]["alone"] == {"wall": 1.0, "cpu": 1.0}
    assert found["ratio"]["shared"]["cpu"] > 0
    assert [len(laps) for laps in found["laps"].values()] == [2, 2, 2]
    assert found["apart"]["shared"] < 1e-4
    assert passes.count((1, 40)) == 3  # the prompt, in two rounds and once before them
    assert {rows for rows, length in passes if length > 40} == {1, 2, 5}


def test_a_model_that_cannot_share_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = BertConfig(
        vocab_size=50, hidden_size=16, intermediate_size=16, num_hidden_layers=1,
        num_attention_heads=2, num_labels=1,
    )  # fmt: skip
    BertForSequenceClassification(config).save_pretrained(tmp_path)
    monkeypatch.setattr(torch, "set_num_threads", lambda count: None)
    monkeypatch.setattr(sys, "argv", ["program", "--model", str(tmp_path)])
    with pytest.raises(SystemExit, match="takes no cache"):
        scoring.main()
