"""How a command ends: 0 done, 1 failed, 2 used wrongly; errors on standard error."""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from typing import Annotated, Any, NoReturn

import typer
from rich.console import Console

from prelogit.core.errors import InputError, PrelogitError, ServiceError

Json = Annotated[bool, typer.Option("--json", help="Answer in JSON, for programs.")]

FAILED, USAGE, INTERRUPTED = 1, 2, 130

_PIPED_WIDTH = 160  # nobody sees where a line would wrap

out = Console()
if not out.is_terminal:
    out.width = _PIPED_WIDTH
notes = Console(stderr=True)


def print_json(value: Any) -> None:
    """One JSON document on standard output."""
    json.dump(value, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")


def reported(command: Callable[..., Any]) -> Callable[..., Any]:
    """Ends the command with a message instead of a stack trace when it fails on purpose."""

    @functools.wraps(command)
    def run(*args: Any, **kwargs: Any) -> Any:
        try:
            return command(*args, **kwargs)
        except PrelogitError as error:
            _fail(error, as_json=bool(kwargs.get("as_json")))

    return run


def _fail(error: PrelogitError, *, as_json: bool) -> NoReturn:
    if as_json:
        told: dict[str, Any] = {"error": str(error)}
        if isinstance(error, ServiceError) and error.problem:
            told["problem"] = error.problem
        if isinstance(error, InputError) and error.field:
            told["field"] = error.field
        sys.stderr.write(json.dumps(told, ensure_ascii=False) + "\n")
    else:
        notes.print(
            "error:", str(error), style="red", markup=False, highlight=False, soft_wrap=True
        )
    raise typer.Exit(USAGE if isinstance(error, InputError) else FAILED) from error
