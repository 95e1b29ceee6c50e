"""The help: complete, and quick because it loads nothing heavy."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.cli.conftest import Run

COMMANDS = {
    "up", "submit", "status", "jobs", "results", "trace", "export", "cancel", "retry", "delete",
    "align", "replay", "doctor",
}  # fmt: skip


def test_help_loads_nothing_heavy() -> None:
    code = (
        "import sys\n"
        "from prelogit.cli.app import app\n"
        "try: app(['submit', '--help'])\n"
        "except SystemExit: pass\n"
        "print('LOADED', *sorted({m.split('.')[0] for m in sys.modules}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert not loaded & {"torch", "transformers", "numpy", "pyarrow", "fastapi", "sqlalchemy"}


def test_all_commands_are_listed_and_answer_in_json(bare: Run) -> None:
    shown = bare("--help")
    assert shown.code == 0
    for command in COMMANDS:
        assert f" {command} " in shown.out
        assert "--json" in bare(command, "--help").out


@pytest.mark.parametrize("arguments", [("--nothing",), ("nothing",), ("status",)])
def test_wrong_use_ends_with_2(bare: Run, arguments: tuple[str, ...]) -> None:
    assert bare(*arguments).code == 2


def test_the_version_is_said(bare: Run) -> None:
    import prelogit

    assert bare("--version").out.strip() == prelogit.__version__
