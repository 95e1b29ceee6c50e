"""The memory benchmark in a tiny form: real children, and what the slopes say."""

from __future__ import annotations

import sys
from argparse import Namespace
from typing import Any

import pytest

from benchmarks import memory, memory_child
from tests.benchmarks.conftest import Run

CHILD = {"ours": "ours", "generate": "theirs"}


def test_table_and_json_of_a_real_child(run: Run) -> None:
    options = ("--lengths", 16, "--samples", 2, "--tokens", 3, "--peers")
    printed, told = run(memory.main, *options)
    (cell,) = told["cells"]
    assert (cell["who"], cell["exit"]) == ("ours", 0)
    assert cell["peak"] == max(cell["prefill"], cell["decode"])
    assert 0 <= cell["peak"] < 1 << 30
    assert "KiB a prompt token" in printed


@pytest.mark.parametrize("who", ["ours", "generate"])
def test_a_peak_is_seen_above_the_model(
    run: Run, who: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def child(args: Namespace, *_: object) -> dict[str, Any]:
        args.length, args.n, args.tokens, args.who = 1024, 64, 8, who
        return {"who": who, "length": 1024, "n": 64, **getattr(memory_child, CHILD[who])(args)}

    monkeypatch.setattr(memory, "measure", child)
    _, told = run(memory.main, "--lengths", 1024, "--samples", 64, "--peers")
    # Two layers of keys and values, 2 heads of 8 numbers of 4 bytes: once, or once a row.
    kept = 1024 * 2 * 2 * 2 * 8 * 4 * (1 if who == "ours" else 64)
    assert told["cells"][0]["peak"] > 0.5 * kept


def test_a_token_of_a_shared_prompt_costs_the_same_for_every_n() -> None:
    cells = [
        {
            "who": "ours",
            "length": length,
            "n": n,
            "prefix": 10 * length,
            "decode": 10 * length + n,
            "peak": 30 * length + n,
        }
        for n in (1, 64)
        for length in (512, 128)
    ]
    cells += [{"who": "generate", "length": x, "n": 64, "peak": 640 * x} for x in (128, 512)]
    cells += [{"who": "generate", "length": 2048, "n": 64, "exit": -9}]  # it did not fit
    one, many, theirs = memory.slopes(cells)
    assert {k: one[k] for k in ("prefix", "decode", "peak")} == {
        k: many[k] for k in ("prefix", "decode", "peak")
    }
    assert one["decode"] == 10
    assert theirs == {"who": "generate", "n": 64, "peak": 640}
    assert "-" in memory.show(cells)


def test_a_child_that_fails_leaves_its_cell_empty(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sys, "executable", "/bin/false")
    printed, told = run(memory.main, "--lengths", 16, "--samples", 2, "--peers")
    assert told["cells"] == [{"who": "ours", "length": 16, "n": 2, "exit": 1}]
    assert told["slopes"] == []
    assert "ours" in printed
