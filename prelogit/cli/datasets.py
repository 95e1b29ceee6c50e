"""Options that ``evaluate`` and ``tune`` share: the prompts, the seeds, and where they are run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from prelogit.cli import local
from prelogit.core.errors import InputError

if TYPE_CHECKING:
    from prelogit.data.entry import Entry

Dataset = Annotated[
    str,
    typer.Argument(
        help="JSONL, Parquet, CSV or text file (also SHP and HH-RLHF), or OWNER/NAME[/FOLDER] of a "
        "dataset on the Hugging Face hub.",
        show_default=False,
    ),
]
Methods = Annotated[
    list[str] | None,
    typer.Option(
        "--method",
        help="As --baseline has it: bon, bon:gaussian, aisp:n=8,lambda=0.3; may be repeated "
        "(aisp, bon, bon:gaussian).",
        show_default=False,
    ),
]
MethodFile = Annotated[
    Path | None,
    typer.Option(
        help="JSON: a method as jobs have it, a list of methods, or labels with methods.",
        show_default=False,
    ),
]
Model = local.ModelName
Seeds = Annotated[str, typer.Option(help="One or several, with commas: 0,1,2.")]
MaxNewTokens = Annotated[int, typer.Option(help="Longest answer, in tokens.", min=1)]
Preprocess = Annotated[
    str,
    typer.Option(
        help="none, or paper: HH-RLHF as raw text, and prompts are sent without a template."
    ),
]
Split = Annotated[str, typer.Option(help="Which files of a hub dataset.")]
Skip = Annotated[int, typer.Option(help="Leave out so many prompts at the beginning.", min=0)]
Limit = Annotated[
    int | None, typer.Option(help="At most so many prompts.", min=1, show_default=False)
]
Url = Annotated[
    str | None,
    typer.Option(help="Run as jobs of the service there, not in this process.", show_default=False),
]
Device = local.Device
Dtype = local.Dtype
EstimateOnly = Annotated[
    bool, typer.Option("--estimate", help="Say what it would cost, and run nothing.")
]


def entries_of(
    dataset: str, *, preprocess: str, split: str, skip: int, limit: int | None
) -> list[Entry]:
    """The dataset's prompts.

    Raises: InputError: names the option, file, row or column and the cure.
    """
    from prelogit.data.dataset import read_entries
    from prelogit.data.entry import Preprocess

    one_of("preprocess", preprocess, get_args(Preprocess))
    how: Any = preprocess
    return read_entries(dataset, preprocess=how, split=split, skip=skip, limit=limit)


def one_of(name: str, value: str, allowed: tuple[str, ...]) -> None:
    """
    Raises: InputError: the option's value is none of these.
    """
    if value not in allowed:
        raise InputError(f"{name}: {value!r} is none of {', '.join(allowed)}", field=name)


def whole_numbers(text: str) -> list[int]:
    """Seeds as they are written, each once.

    Raises: InputError: one is no whole number, or there is none.
    """
    try:
        found = list(dict.fromkeys(int(word) for word in text.split(",") if word.strip()))
    except ValueError as error:
        raise InputError(f"seeds: {error}: give whole numbers", field="seeds") from error
    if not found or min(found) < 0:
        raise InputError("seeds: give whole numbers from 0, as in 0,1,2", field="seeds")
    return found
