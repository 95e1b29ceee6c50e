"""``prelogit doctor``: what is well here, and the cure of what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prelogit.cli.reporting import FAILED, Json, out, print_json, reported


@reported
def doctor(
    home: Annotated[
        Path | None, typer.Option(help="The folder to look at (PRELOGIT_HOME).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Check devices, every model, store, queue, reward and ports; 1 when something is wrong."""
    from prelogit.doctor import examine
    from prelogit.launch.settings import up_settings

    findings = []
    for finding in examine(up_settings(home=home)):
        findings.append(finding)
        if not as_json:
            mark = "[green]ok[/green]   " if finding.ok else "[red]wrong[/red]"
            out.print(f"{mark} {finding.name:<8} ", end="")
            out.print(finding.detail, markup=False, highlight=False, soft_wrap=True)
    if as_json:
        print_json([finding._asdict() for finding in findings])
    if not all(finding.ok for finding in findings):
        raise typer.Exit(FAILED)
