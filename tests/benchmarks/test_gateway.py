"""The benchmark of the gateway in a tiny form, on a real gateway, queue and store."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from benchmarks.gateway import __main__ as gateway

pytestmark = pytest.mark.slow


def test_requests_are_answered_and_no_prompt_is_claimed_twice(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "load.json"
    words = "--databases sqlite --clients 2 --seconds 0.2 --running 100 --long 200"
    gateway.main(
        [
            *words.split(),
            "--workers",
            "2",
            "--work-seconds",
            "1",
            "--engine",
            "0.1",
            "--out",
            str(out),
        ]
    )
    printed, told = capsys.readouterr().out, json.loads(out.read_text())
    found = told["databases"]["sqlite"]
    kinds = {(load["kind"], load["clients"]) for load in found["requests"]}
    assert ("status, idle", 2) in kinds
    assert ("submit, running", 2) in kinds
    assert all(load["requests"] > 0 and load["p50"] <= load["p99"] for load in found["requests"])
    (claims,) = found["workers"]
    assert claims["doubled"] == 0
    assert claims["prompts_a_second"] > 0
    assert claims["short_waited"] <= claims["short_took"]
    assert "sqlite: workers" in printed
