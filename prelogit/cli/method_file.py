"""A method from a file, as ``prelogit tune`` writes it, with options on top."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from prelogit.core.errors import InputError

OPTION = Annotated[
    Path | None,
    typer.Option(
        "--method-file",
        help="JSON with the method as jobs have it, as `tune` writes it; other options change it.",
        rich_help_panel="Method",
        show_default=False,
    ),
]


def with_file(path: Path, given: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the file's method, changed by those that were given; ``method`` is its name.

    Raises: typer.BadParameter: the file holds no single method, or not the one that was named.
    """
    from prelogit.evaluation.arms import method_of as method_of_json
    from prelogit.evaluation.arms import read_json

    try:
        params = method_of_json(read_json(path))
    except InputError as error:
        raise typer.BadParameter(f"{path}: {error}", param_hint="--method-file") from error
    if given.get("method", params.name) != params.name:
        raise typer.BadParameter(
            f"{path} holds {params.name}, not {given['method']}: leave one of them out",
            param_hint="--method",
        )
    held = params.model_dump(by_alias=False)
    return {**held, **given, "method": held.pop("name")}
