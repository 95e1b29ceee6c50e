"""A second reward on the command line: what it says is shown, where it would answer otherwise too."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from prelogit.cli.tables import results_table, trace_table
from prelogit.cli.trace import draw
from prelogit.core.records import Result, Trace
from tests.cli.conftest import Run

ALIGN = (
    "align", "-p", "a", "--reward", "tests.tiny:vowels", "--n", "4", "--iterations", "2",
    "--max-new-tokens", "4",
)  # fmt: skip
SHORT = ("--held-out-reward", "tests.workers.moody:short")


def shown(table: Any) -> str:
    text = io.StringIO()
    Console(file=text, width=200).print(table)
    return text.getvalue()


def test_what_it_says_is_in_the_trace_its_table_and_its_picture(
    bare: Run, model_folder: str, tmp_path: Path
) -> None:
    arguments = (*ALIGN, "--model", model_folder, "--json")
    done = bare(*arguments, *SHORT)
    assert done.code == 0, done.err
    watched, plain = (
        Trace.model_validate(one.json[0]["trace"]) for one in (done, bare(*arguments))
    )
    looked = watched.iterations[-1].held_out
    assert looked is not None
    line = shown(trace_table(watched)).splitlines()[-2].split()
    assert line[-3:-1] == [f"{looked.mean:.3f}", f"{looked.of_best:.3f}"]
    assert "of-best" not in shown(trace_table(plain))
    for trace, name in ((watched, "watched.svg"), (plain, "plain.svg")):
        draw(trace, tmp_path / name)
    axes = [
        (tmp_path / name).read_text().count('id="axes_') for name in ("watched.svg", "plain.svg")
    ]
    assert axes == [3, 2]


def test_the_results_show_what_it_would_pick_instead(bare: Run, model_folder: str) -> None:
    done = bare(*ALIGN, "--model", model_folder, *SHORT, "--json")
    result = Result.model_validate(
        {name: value for name, value in done.json[0].items() if name in Result.model_fields}
    )
    assert result.picks is not None
    assert result.picks.held_out is not None
    same = result.model_copy(update={"response": result.picks.held_out.text})
    assert "by held_out" not in shown(results_table([same]))
    other = shown(results_table([result.model_copy(update={"response": "other"})]))
    assert f"held-out {result.picks.held_out.held_out:.3f}" in other
    assert "by held_out" in other
    assert "by kl" not in other


def test_its_limits_end_a_search(bare: Run, model_folder: str) -> None:
    done = bare(
        *ALIGN, "--model", model_folder, "--proposal", "mean", "--stop-kl", "0", *SHORT,
        "--stop-held-out", "9", "--json",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert (done.json[0]["stopped"], done.json[0]["iterations"]) == ("kl", 2)


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (("--held-out-reward", "tests.tiny:vowels"), "name another one"),
        (("--held-out-reward", "relevanze"), "did you mean"),
        (("--stop-held-out", "2"), "leave stop.held_out out"),
        (("--stop-kl", "-1"), "kl: Input should be greater"),
    ],
)
def test_what_cannot_be_is_told(
    bare: Run, model_folder: str, options: tuple[str, ...], told: str
) -> None:
    done = bare(*ALIGN, "--model", model_folder, *options)
    assert done.code == 2
    assert told in done.err
