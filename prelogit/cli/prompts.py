"""Where a command's prompts come from: a file, standard input, or the command line."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import Annotated

import typer

from prelogit.wire.jobs import PromptItem

File = Annotated[
    str | None,
    typer.Argument(
        help="JSONL, CSV, TSV, Parquet or text file with prompts; - reads standard input.",
        show_default=False,
    ),
]
PromptText = Annotated[
    list[str] | None,
    typer.Option("--prompt", "-p", help="A prompt; may be repeated.", show_default=False),
]


def gather(file: str | None, texts: list[str] | None) -> list[PromptItem]:
    """All prompts of the one source that was named.

    Raises: typer.BadParameter: none or two sources. InputError: what is wrong in the file.
    """
    return list(each(file, texts))


def each(file: str | None, texts: list[str] | None) -> Iterator[PromptItem]:
    """The same, one after the other: a large file is not held. InputError comes after the last."""
    if (file is None) == (not texts):
        raise typer.BadParameter("name either a FILE (or - for standard input) or --prompt TEXT")
    if texts:
        if not all(texts):
            raise typer.BadParameter("the prompt is empty", param_hint="--prompt")
        return (PromptItem(prompt=text) for text in texts)
    from prelogit.data.read import each_of_stream, each_prompt

    return each_of_stream(sys.stdin.buffer) if file == "-" else each_prompt(str(file))
