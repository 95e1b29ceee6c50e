"""The decode benchmark in a tiny form: every peer, every number of its tables."""

from __future__ import annotations

import math
import sys
from pathlib import Path

import pytest

from benchmarks import decode
from benchmarks.vllm_peer import VllmPeer
from tests.benchmarks.conftest import Run

PEERS = ("generate", "generate-masked", "trl")


def test_table_and_json(run: Run) -> None:
    options = ("--lengths", 5, 9, "--n", 4, "--tokens", 6, "--rounds", 2, "--mini-batch", 3)
    printed, told = run(decode.main, *options)
    assert [(r["dtype"], r["length"]) for r in told["rows"]] == [
        (dtype, length) for dtype in ("fp32", "bf16") for length in (5, 9)
    ]
    for row in told["rows"]:
        assert set(row["ratios"]) == set(PEERS)
        for found in row["ratios"].values():
            assert all(x > 0 for kind in found.values() for x in kind.values())
        assert all(len(laps) == 2 for laps in row["laps"].values())
        assert row["candidates_a_second"]["ours"] > 0
        low = row["floor"]
        # Two layers of seven matrices and the output layer; their keys and values; half the suffix.
        weights = 2 * (32 * 32 * 2 + 32 * 16 * 2 + 3 * 32 * 48) + 32 * 257
        kept = 2 * (2 * 2 * 8 * row["length"] + 4 * 2 * 8 * 6)
        assert low["bytes"] == (weights + kept) * (4 if row["dtype"] == "fp32" else 2)
        assert low["share"]["wall"] > 0
        assert math.isclose(low["reading"], low["bytes"] / low["bandwidth"])
    assert told["machine"]["torch"]
    assert told["arguments"]["n"] == 4
    assert all(peer in printed for peer in PEERS)
    assert "floor/ours" in printed


def test_vllm_is_asked_for_by_the_python_of_its_venv(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        run(decode.main, "--peers", "vllm")
    assert "--vllm-python" in capsys.readouterr().err


FAKE = """#!{python}
import json, sys
assert sys.argv[1] == "-P" and sys.argv[2].endswith("vllm_child.py"), sys.argv
print(json.dumps({{"ready": True}}), flush=True)
for line in sys.stdin:
    asked = json.loads(line)
    n, tokens = asked["n"], asked["tokens"]
    seconds = 2.0 if asked["cold"] else 1.0
    told = {{"wall": seconds, "cpu": seconds / 2, "token_ids": [[7] * tokens] * n}}
    print(json.dumps(told), flush=True)
"""


@pytest.fixture
def fake(tmp_path: Path) -> Path:
    """Stands where the interpreter of vLLM's venv would, and answers as the child does."""
    path = tmp_path / "python"
    path.write_text(FAKE.format(python=sys.executable), encoding="utf-8")
    path.chmod(0o755)
    return path


def test_vllm_with_its_own_clock_and_its_prefix_cache(run: Run, fake: Path) -> None:
    options = ("--lengths", 5, "--n", 2, "--tokens", 3, "--rounds", 1, "--dtypes", "fp32")
    _, told = run(decode.main, *options, "--peers", "vllm", "--vllm-python", fake)
    (row,) = told["rows"]
    assert row["laps"]["vllm"] == [{"wall": 2.0, "cpu": 1.0}]
    assert row["laps"]["vllm decode"] == [{"wall": 1.0, "cpu": 0.5}]
    decoded, filled = (row["laps"][name][0]["wall"] for name in ("decode", "prefill"))
    assert row["ratios"]["vllm"]["over 32"]["wall"] == pytest.approx(
        (2.0 + 31 * 1.0) / (32 * decoded + filled)
    )
    assert row["vllm_agrees"] < 1


def test_agreement_ends_at_the_first_difference() -> None:
    assert decode.agreement([[1, 2, 3, 4], [5, 6, 7, 8]], [[1, 2, 9, 4], [5, 6, 7, 8]]) == 6 / 8


def test_a_child_that_cannot_start_is_told(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="ended with 0"):
        VllmPeer(Path("/bin/true"), "model", "float32", threads=1)
