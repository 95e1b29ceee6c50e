"""Watch a job until it ends: a live table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

from statistics import fmean

import typer
from rich.live import Live

from prelogit.cli.reporting import FAILED, INTERRUPTED, notes
from prelogit.cli.tables import job_table
from prelogit.client import JobHandle
from prelogit.wire.jobs import Job

_ASKED_FOR = 50  # prompts whose rewards are asked for every second


def watch(handle: JobHandle, *, quiet: bool = False) -> Job:
    """Returns the ended job. ``quiet``: says nothing while it waits."""
    try:
        if quiet:
            return handle.wait()
        if notes.is_terminal:
            with Live(job_table(handle.job), console=notes, transient=True) as live:
                return handle.wait(
                    on_update=lambda job: live.update(job_table(job, best_so_far(handle, job)))
                )
        tell = _Lines()
        tell(handle.job)
        return handle.wait(on_update=tell)
    except KeyboardInterrupt:
        notes.print(f"{handle.id} goes on: `prelogit status {handle.id} --watch`, or cancel it")
        raise typer.Exit(INTERRUPTED) from None


def best_so_far(handle: JobHandle, job: Job) -> float | None:
    """Mean of the best rewards, running prompts included; None where that is a lot to ask for."""
    if not job.counts.running or job.counts.total > _ASKED_FOR:
        return None
    rewards = [result.reward for result in handle.results() if result.reward is not None]
    return fmean(rewards) if rewards else None


class _Lines:
    """Says how a job stands whenever that is another than before."""

    def __init__(self) -> None:
        self._told = ""

    def __call__(self, job: Job) -> None:
        ended = job.counts.total - job.counts.queued - job.counts.running
        line = f"{job.id} {job.status}: {ended} of {job.counts.total} prompts ended"
        if line != self._told:
            self._told = line
            notes.print(line, highlight=False, soft_wrap=True)


def exit_code(job: Job) -> int:
    """0 for a job of which every prompt has its result."""
    return 0 if job.status == "succeeded" else FAILED
