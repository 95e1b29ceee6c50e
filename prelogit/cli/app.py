"""The ``prelogit`` command. Nothing here may load torch: help must be quick."""

from __future__ import annotations

from typing import Annotated

import typer

from prelogit.cli.align import align
from prelogit.cli.doctor import doctor
from prelogit.cli.evaluate import evaluate
from prelogit.cli.export import export
from prelogit.cli.jobs import cancel, delete, jobs, retry, status
from prelogit.cli.judge import judge
from prelogit.cli.keys import keys
from prelogit.cli.replay import replay
from prelogit.cli.results import results
from prelogit.cli.submit import submit
from prelogit.cli.trace import trace
from prelogit.cli.tune import tune
from prelogit.cli.up import up
from prelogit.cli.value import value

app = typer.Typer(
    name="prelogit",
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode="markdown",
    pretty_exceptions_show_locals=False,
)
COMMANDS = (
    up, submit, status, jobs, results, trace, export, cancel, retry, delete, align, judge, evaluate,
    tune, replay, doctor,
)  # fmt: skip
for command in COMMANDS:
    app.command()(command)
app.add_typer(value, name="value")
app.add_typer(keys, name="keys")


def _version(asked: bool) -> None:
    if asked:
        import prelogit

        typer.echo(prelogit.__version__)
        raise typer.Exit


@app.callback()
def _prelogit(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say the version.")
    ] = False,
) -> None:
    """Align LLM answers at test time, as a library and as a job service."""


def main() -> None:
    """Entry point of the console script."""
    app()
