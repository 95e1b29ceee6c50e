"""``prelogit trace``: the iterations of one prompt, as a table, JSON or picture."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prelogit.cli.gateway import connect
from prelogit.cli.jobs import JobId
from prelogit.cli.reporting import Json, notes, out, print_json, reported
from prelogit.cli.tables import trace_table
from prelogit.core.errors import InputError
from prelogit.core.records import Trace

PromptId = Annotated[
    str, typer.Argument(metavar="PROMPT", help="The prompt's id in the job.", show_default=False)
]


@reported
def trace(
    job_id: JobId,
    prompt_id: PromptId,
    plot: Annotated[
        Path | None, typer.Option(help="Draw it into this file (png, svg, pdf).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Show every iteration of a prompt: rewards, ESS, lambda, variance, KL, costs."""
    with connect() as client:
        found = client.job(job_id).trace(prompt_id)
    if plot is not None:
        draw(found, plot)
        notes.print(f"drawn into {plot}", highlight=False, markup=False, soft_wrap=True)
    if as_json:
        print_json(found.model_dump(mode="json"))
    elif plot is None:
        out.print(trace_table(found))


def draw(trace: Trace, path: Path) -> None:
    """Rewards of every candidate with mean, best and best so far; below them the ESS.

    A held-out reward has its own axis on the right: what it says of the best so far.

    Raises: InputError: matplotlib is not installed, or the file cannot be written.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "drawing needs matplotlib: pip install 'prelogit[plot]'", field="plot"
        ) from error
    if not trace.iterations:
        raise InputError("there is no iteration yet: wait for the first one", field="plot")
    rows = trace.iterations
    ks = [row.k for row in rows]
    figure = Figure(figsize=(8, 6), layout="constrained")
    top, bottom = figure.subplots(2, 1, sharex=True, height_ratios=[3, 1])
    for row in rows:
        top.scatter([row.k] * len(row.rewards), row.rewards, s=8, color="0.7")
    top.plot(ks, [row.mean for row in rows], label="mean")
    top.plot(ks, [row.best for row in rows], label="best")
    top.plot(ks, [row.best_so_far for row in rows], label="best so far")
    top.set_ylabel("reward")
    if any(row.held_out is not None for row in rows):
        beside = top.twinx()
        told = [row.held_out.of_best if row.held_out else float("nan") for row in rows]
        beside.plot(ks, told, "k--", label="best so far, held out")
        beside.set_ylabel("held-out reward")
        beside.legend(loc="lower right")
    top.legend()
    top.set_title(f"{trace.method.get('name')}, prompt {trace.prompt_id}", parse_math=False)
    bottom.plot(ks, [row.ess if row.ess is not None else float("nan") for row in rows])
    bottom.set_ylabel("ESS")
    bottom.set_ylim(0, max(len(row.rewards) for row in rows))
    bottom.set_xlabel("iteration")
    bottom.set_xticks(ks if len(ks) <= 20 else ks[:: len(ks) // 10])
    try:
        figure.savefig(path)
    except (OSError, ValueError) as error:
        raise InputError(f"{path} cannot be written: {error}", field="plot") from error
