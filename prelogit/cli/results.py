"""``prelogit results`` and the ways in which results are printed."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterable, Sequence
from enum import StrEnum
from typing import Annotated, Any

import typer
from pydantic import TypeAdapter

from prelogit.cli.gateway import connect
from prelogit.cli.jobs import JobId
from prelogit.cli.reporting import Json, out, print_json, reported
from prelogit.cli.tables import baseline_name, results_table
from prelogit.core.records import Result
from prelogit.metrics.gain import reward_per_second, reward_per_token
from prelogit.wire.params import Baseline, BaselineField


class Format(StrEnum):
    """How results are printed."""

    table = "table"
    jsonl = "jsonl"
    csv = "csv"


_COLUMNS = (
    "prompt_id", "index", "status", "stopped", "reward", "response", "finish_reason", "samples",
    "iterations", "prompt_tokens", "generated_tokens", "seed", "diversity", "coherence", "nll", "error",
)  # fmt: skip

_OF_A_BASELINE = ("reward", "margin", "expected_margin")
_baseline: TypeAdapter[Baseline] = TypeAdapter(BaselineField)


@reported
def results(
    job_id: JobId,
    form: Annotated[Format, typer.Option("--format", help="How to print them.")] = Format.table,
    as_json: Json = False,
) -> None:
    """Print a result for each prompt, also while the job runs."""
    with connect() as client:
        handle = client.job(job_id)
        if as_json:
            print_json([result.model_dump(mode="json") for result in handle.results()])
            return
        baselines = [_baseline.validate_python(one) for one in handle.job.request["baselines"]]
        print_results(handle.results(), form, baselines)


def print_results(results: Iterable[Result], form: Format, baselines: Sequence[Baseline]) -> None:
    """Print the results of a job with these baselines; all but the table while they come."""
    match form:
        case Format.table:
            out.print(results_table(results))
        case Format.jsonl:
            for result in results:
                sys.stdout.write(result.model_dump_json() + "\n")
        case Format.csv:
            _print_csv(results, baselines)


def _print_csv(results: Iterable[Result], baselines: Sequence[Baseline]) -> None:
    """One line a prompt; numbers of each baseline in columns of their own."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    extra = [f"{baseline_name(one)} {what}" for one in baselines for what in _OF_A_BASELINE]
    writer.writerow([*_COLUMNS, "reward_per_token", "reward_per_second", *extra])
    for result in results:
        row: list[Any] = [getattr(result, column) for column in _COLUMNS]
        row += [reward_per_token(result), reward_per_second(result)]
        for baseline in result.baselines:
            row += [getattr(baseline, what) for what in _OF_A_BASELINE]
        writer.writerow(row)
