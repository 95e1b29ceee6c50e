"""Jobs, results and traces as a person reads them."""

from __future__ import annotations

from collections.abc import Iterable

from rich.box import SIMPLE_HEAD
from rich.table import Table
from rich.text import Text

from prelogit.core.guard import Pick
from prelogit.core.records import BaselineResult, Result, Trace
from prelogit.wire.jobs import Job
from prelogit.wire.params import Baseline
from prelogit.wire.summary import BaselineSummary

_COLOURS = {
    "succeeded": "green",
    "partial": "yellow",
    "failed": "red",
    "cancelled": "yellow",
    "cancelling": "yellow",
    "running": "cyan",
}
REASONS = 3
"""Of so many prompts that failed a job's table tells why; all stand in the results."""


def number(value: float | None, digits: int = 3) -> str:
    """A number for a table; a hyphen where there is none."""
    return "-" if value is None else f"{value:.{digits}f}"


def status_text(status: str) -> Text:
    """A status in its colour."""
    return Text(status, style=_COLOURS.get(status, ""))


def baseline_name(baseline: BaselineResult | BaselineSummary | Baseline) -> str:
    """As ``--baseline`` names it."""
    noise: str | None = getattr(baseline, "noise", None)
    return baseline.name if noise is None else f"{baseline.name}:{noise}"


def job_table(job: Job, so_far: float | None = None) -> Table:
    """All of a job on one screen. ``so_far``: the mean best reward, prompts that still run included."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    table.add_row("job", job.id)
    table.add_row("status", status_text(job.status))
    if job.error is not None:
        table.add_row("error", Text(job.error.detail, style="red"))
        for error in job.error.errors[:REASONS]:
            table.add_row("", Text(f"{error.field}: {error.message}", style="red"))
        if len(job.error.errors) > REASONS:
            table.add_row("", f"and more: prelogit results {job.id}")
    states = job.counts.model_dump(exclude={"total"})
    shown = ", ".join(f"{count} {state}" for state, count in states.items() if count)
    table.add_row("prompts", f"{job.counts.total} ({shown})")
    done, total = job.progress.iterations_done, job.progress.iterations_total
    table.add_row("iterations", f"{done} of {total} ({job.progress.fraction:.0%})")
    if job.progress.eta_seconds is not None and job.ended_at is None:
        table.add_row("time left", duration(job.progress.eta_seconds))
    if job.reward.mean_best is not None:
        first = number(job.reward.mean_first)
        table.add_row("reward", f"{number(job.reward.mean_best)} (first round's mean {first})")
    if so_far is not None:
        table.add_row("so far", f"{number(so_far)}, running prompts included")
    for baseline in job.reward.baselines:
        margin = "" if baseline.margin is None else f", margin {baseline.margin:+.3f}"
        if baseline.margin_se is not None:
            margin += f" ± {baseline.margin_se:.3f}"
        # The two are equal where the best of all samples is compared.
        if baseline.expected_margin not in (None, baseline.margin):
            margin += f", expected {baseline.expected_margin:+.3f}"
            if baseline.expected_margin_se is not None:
                margin += f" ± {baseline.expected_margin_se:.3f}"
        table.add_row(baseline_name(baseline), f"{number(baseline.mean)}{margin}")
    for which, probe in (("reward", job.probe), ("held-out reward", job.held_out_probe)):
        for warning in probe.warnings if probe is not None else ():
            table.add_row("warning", Text(f"{which}: {warning}", style="yellow"))
    usage = job.usage
    table.add_row(
        "cost",
        f"{usage.candidates:,} candidates, {usage.generated_tokens:,} tokens; decode "
        f"{usage.decode_seconds:.1f} s, reward {usage.reward_seconds:.1f} s",
    )
    return table


def jobs_table(jobs: Iterable[Job]) -> Table:
    """One row a job; times are those of this machine."""
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    for name in ("job", "created", "status", "prompts", "done", "reward"):
        table.add_column(name, no_wrap=True)
    for job in jobs:
        table.add_row(
            job.id,
            f"{job.created_at.astimezone():%Y-%m-%d %H:%M}",
            status_text(job.status),
            str(job.counts.total),
            f"{job.progress.fraction:.0%}",
            number(job.reward.mean_best),
        )
    return table


def results_table(results: Iterable[Result]) -> Table:
    """One row a prompt."""
    table = Table(show_lines=True)
    table.add_column("prompt", overflow="fold", max_width=24)
    table.add_column("status")
    table.add_column("reward", justify="right")
    table.add_column("baselines", justify="right")
    table.add_column("response", overflow="fold", ratio=1)
    for result in results:
        margins = "\n".join(
            f"{baseline_name(one)} {number(one.reward)} ({_signed(one.margin)})"
            for one in result.baselines
        )
        answer = Text(result.response or "")
        for place, other in enumerate(result.responses[1:], start=2):
            answer.append(f"\n{place}. ({number(other.reward)}) ", style="bold")
            answer.append(other.text)
        if result.error:
            answer = Text(result.error, style="red")
        for criterion, pick in _other_picks(result):
            scores = f"reward {number(pick.reward)}, held-out {number(pick.held_out)}"
            answer.append(f"\nby {criterion} ({scores}) ", style="bold")
            answer.append(pick.text)
        for warning in result.warnings:
            answer.append(f"\n{warning}", style="yellow")
        table.add_row(
            Text(result.prompt_id),
            _ending(result),
            number(result.reward),
            margins or "-",
            answer,
        )
    return table


def _other_picks(result: Result) -> list[tuple[str, Pick]]:
    """What a criterion would have answered instead."""
    told = [] if result.picks is None else list(result.picks)
    return [(name, pick) for name, pick in told if pick and pick.text != result.response]


def _ending(result: Result) -> Text:
    """The status, and the limit that ended the search early."""
    ending = status_text(result.status)
    if result.stopped is not None:
        ending.append(f"\nstopped: {result.stopped}", style="not bold")
    return ending


def trace_table(trace: Trace) -> Table:
    """One row an iteration; the last one, drawn from the final mean, bears a star.

    Where a second reward looks on: its mean, and what it says of the best so far.
    """
    table = Table(box=SIMPLE_HEAD, padding=(0, 1), pad_edge=False)
    names = "k mean std best so-far ess lambda sigma2 kl tokens seconds"
    watched = any(row.held_out is not None for row in trace.iterations)
    more = ["held-out", "of-best", "diversity"] if watched else []
    for name in [*names.split(), *more]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in trace.iterations:
        spent, looked = row.seconds, row.held_out
        told = [looked.mean, looked.of_best] if looked is not None else [None, None]
        table.add_row(
            f"{row.k}*" if row.final else str(row.k),
            number(row.mean),
            number(row.std),
            number(row.best),
            number(row.best_so_far),
            number(row.ess, 1),
            number(row.lambda_),
            number(row.sigma2),
            number(row.kl_gaussian, 0),
            f"{row.tokens:,}",
            f"{spent.decode + spent.reward + spent.wait:.1f}",
            *(map(number, [*told, row.diversity]) if watched else ()),
        )
    return table


def duration(seconds: float) -> str:
    """Seconds as a person says them."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    if hours:
        return f"{hours} h {minutes} min"
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"
