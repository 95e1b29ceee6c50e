"""What commands share that search in this process: their model, their reward, and wrong fields."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from prelogit.cli.reporting import notes
from prelogit.core.errors import InputError

if TYPE_CHECKING:
    from prelogit.engine.load import Model
    from prelogit.rewards.protocol import Score

ModelName = Annotated[str, typer.Option(help="Alias, Hugging Face id or folder.")]
RewardName = Annotated[
    str, typer.Option(help="relevance, the URL of a reward service, or module:callable.")
]
Device = Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")]
Dtype = Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")]


def loaded(model: str, reward: str, *, device: str, dtype: str, quiet: bool) -> tuple[Model, Score]:
    """Load both, and say so, as it takes a while.

    Raises: ModelError, InputError: one of them cannot be had.
    """
    import prelogit

    if not quiet:
        notes.print(f"loading {model} and {reward} …", highlight=False, markup=False)
    return prelogit.load_model(model, device=device, dtype=dtype), prelogit.load_reward(reward)


@contextmanager
def wrong_fields_named() -> Iterator[None]:
    """Turns what pydantic refuses into an ``InputError`` that names the field."""
    try:
        yield
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        raise InputError(f"{where}: {first['msg']}", field=where) from error
