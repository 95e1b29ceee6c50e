"""Commands for a job that was posted: status, list, cancel, retry, delete."""

from __future__ import annotations

from itertools import islice
from typing import Annotated

import typer

from prelogit.cli.gateway import connect
from prelogit.cli.reporting import Json, out, print_json, reported
from prelogit.cli.tables import job_table, jobs_table
from prelogit.cli.watching import exit_code, watch
from prelogit.wire.jobs import Job

JobId = Annotated[str, typer.Argument(metavar="ID", help="The job's id.", show_default=False)]


@reported
def status(
    job_id: JobId,
    watch_it: Annotated[
        bool, typer.Option("--watch", help="Stay until the job has ended; 1 if not all is well.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Show how a job stands."""
    with connect() as client:
        handle = client.job(job_id)
        if not watch_it:
            _print(handle.job, as_json=as_json)
            return
        job = watch(handle, quiet=as_json)
        _print(job, as_json=as_json)
        raise typer.Exit(exit_code(job))


@reported
def jobs(
    state: Annotated[
        str | None, typer.Option("--status", help="Only jobs of this status.", show_default=False)
    ] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many.")] = 20,
    as_json: Json = False,
) -> None:
    """List jobs, newest first."""
    with connect() as client:
        found = [handle.job for handle in islice(client.jobs(status=state), limit)]
    if as_json:
        print_json([job.model_dump(mode="json") for job in found])
        return
    out.print(jobs_table(found))


@reported
def cancel(job_id: JobId, as_json: Json = False) -> None:
    """Stop a job; what is finished stays, and each running prompt keeps its best so far."""
    with connect() as client:
        _print(client.job(job_id).cancel(), as_json=as_json)


@reported
def retry(job_id: JobId, as_json: Json = False) -> None:
    """Run again only the prompts that failed or were cancelled."""
    with connect() as client:
        _print(client.job(job_id).retry(), as_json=as_json)


@reported
def delete(job_id: JobId, as_json: Json = False) -> None:
    """Delete an ended job with its results and traces."""
    with connect() as client:
        client.job(job_id).delete()
    if as_json:
        print_json({"id": job_id, "deleted": True})
    else:
        out.print(f"deleted {job_id}", highlight=False)


def _print(job: Job, *, as_json: bool) -> None:
    if as_json:
        print_json(job.model_dump(mode="json"))
    else:
        out.print(job_table(job))
