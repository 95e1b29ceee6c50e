"""dtype "auto" on CPU: measured once a machine, the same for every process, clear of noise."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch

from prelogit.engine import faster
from prelogit.engine.faster import Faster, faster_dtype
from prelogit.engine.place import find_dtype

CPU = torch.device("cpu")


def test_the_measurement_is_kept_and_the_next_process_agrees(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = find_dtype("auto", CPU, tmp_path)
    kept = json.loads((tmp_path / "measured.json").read_text())
    assert kept["dtype"] == str(first).removeprefix("torch.")
    assert (kept["bfloat16_over_float32"] > 1.2) == (first is torch.bfloat16)

    other = torch.float32 if first is torch.bfloat16 else torch.bfloat16
    monkeypatch.setattr(faster, "measure", lambda: Faster(9.9, other))
    assert find_dtype("auto", CPU, tmp_path) is first
    assert find_dtype("auto", CPU, tmp_path / "another") is other


def test_what_was_measured_on_another_machine_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faster, "measure", lambda: Faster(2.5, torch.bfloat16))
    assert faster_dtype(tmp_path) is torch.bfloat16
    file = tmp_path / "measured.json"
    kept = json.loads(file.read_text())
    file.write_text(json.dumps({**kept, "machine": "another", "dtype": "float32"}))
    assert faster_dtype(tmp_path) is torch.bfloat16


@pytest.mark.parametrize("content", ["", "[]", "{", '{"dtype": "int8"}'])
def test_a_file_that_tells_nothing_is_measured_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: str
) -> None:
    (tmp_path / "measured.json").write_text(content)
    monkeypatch.setattr(faster, "measure", lambda: Faster(0.4, torch.float32))
    assert faster_dtype(tmp_path) is torch.float32
    assert json.loads((tmp_path / "measured.json").read_text())["dtype"] == "float32"


@pytest.mark.parametrize(("seconds", "dtype"), [(1.1, torch.float32), (1.3, torch.bfloat16)])
def test_bfloat16_must_win_clearly(
    monkeypatch: pytest.MonkeyPatch, seconds: float, dtype: torch.dtype
) -> None:
    times = {torch.float32: seconds, torch.bfloat16: 1.0}
    monkeypatch.setattr(faster, "_timed", lambda layers, x: times[x.dtype])
    assert faster.measure().dtype is dtype


def test_where_layers_cannot_be_packed_it_is_float32(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(dtype: torch.dtype) -> None:
        raise RuntimeError("no such operator")

    monkeypatch.setattr(faster, "_layers", missing)
    assert faster.measure() == (0.0, torch.float32)


def test_measuring_leaves_the_callers_random_numbers_alone() -> None:
    torch.manual_seed(5)
    want = torch.randn(4)
    torch.manual_seed(5)
    faster.measure()
    assert torch.equal(torch.randn(4), want)
