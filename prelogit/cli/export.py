"""``prelogit export``: a job's answers as a dataset for training or evaluation."""

from __future__ import annotations

from collections.abc import Iterator
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from prelogit.cli.gateway import connect
from prelogit.cli.jobs import JobId
from prelogit.cli.reporting import Json, out, print_json, reported
from prelogit.client import JobHandle
from prelogit.core.errors import InputError
from prelogit.data.answered import Answered
from prelogit.data.export import FORMATS
from prelogit.data.write import format_of, write_rows


class As(StrEnum):
    """The datasets that a job can become."""

    sft = "sft"
    preference = "preference"
    alpaca = "alpaca"


@reported
def export(
    job_id: JobId,
    form: Annotated[As, typer.Option("--as", help="What the rows hold.", show_default=False)],
    to: Annotated[Path, typer.Option(help="FILE.jsonl or FILE.parquet; replaced if it is there.")],
    as_json: Json = False,
) -> None:
    """Write the answers of a job as a dataset; prompts without an answer are left out."""
    format_of(to)
    with connect() as client:
        handle = client.job(job_id)
        written = write_rows(to, _rows(handle, form))
        total = handle.job.counts.total
    if as_json:
        print_json({"file": str(to), "rows": written, "prompts": total})
        return
    left_out = "" if written == total else f"; {total - written} of {total} prompts give none"
    told = f"wrote {written} rows to {to}{left_out}"
    out.print(told, highlight=False, markup=False, soft_wrap=True)


def _rows(handle: JobHandle, form: As) -> Iterator[dict[str, Any]]:
    any_row = False
    for answered in _answers(handle, with_candidates=form is As.preference):
        row = FORMATS[form](answered)
        if row is not None:
            any_row = True
            yield row
    if not any_row:
        raise InputError(
            f"{handle.id} has nothing to export as {form} (it is {handle.status}): "
            "wait for answers, or look at `prelogit results`"
        )


def _answers(handle: JobHandle, *, with_candidates: bool) -> Iterator[Answered]:
    request = handle.job.request
    generator = f"{request['model']}+{request['method']['name']}"
    # Both have an entry for each prompt, in one order.
    for prompt, result in zip(handle.prompts(), handle.results(), strict=True):
        if result.response is None:
            continue
        candidates = handle.candidates(result.prompt_id) if with_candidates else ()
        yield Answered(
            prompt.item,
            result.response,
            candidates,
            generator,
            request.get("template", "chat"),
        )
