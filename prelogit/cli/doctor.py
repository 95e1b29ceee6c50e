"""``prelogit doctor``: what is well here, and the cure of what is not."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from prelogit.cli.reporting import FAILED, Json, notes, out, print_json, reported


@reported
def doctor(
    home: Annotated[
        Path | None, typer.Option(help="The folder to look at (PRELOGIT_HOME).")
    ] = None,
    reward: Annotated[
        str | None,
        typer.Option(
            help="Look at this reward instead, whether it can be trusted: the name of a hosted one, "
            "relevance, a URL (vllm-classify+http://host:8000#model), or module:callable.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check device, disks, every model, store, queue, clocks, reward, workers and ports; 1 when something is wrong."""
    if reward is not None:
        _probe(reward, home, as_json=as_json)
        return
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


def _probe(name: str, home: Path | None, *, as_json: bool) -> None:
    from prelogit.cli.probed import find, probe_table, probed

    if not as_json:
        notes.print("probing …", highlight=False)
    found = find(name, home)
    report = probed(found.reward)
    if as_json:
        print_json(report.model_dump(mode="json"))
    else:
        out.print(probe_table(report, found.place))
