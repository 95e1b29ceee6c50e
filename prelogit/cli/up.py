"""``prelogit up``: the whole stack on this machine."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from prelogit.cli.reporting import Json, notes, out, print_json, reported
from prelogit.core.errors import LaunchError


@reported
def up(
    port: Annotated[
        int | None, typer.Option(help="Port of the gateway (PRELOGIT_PORT, 8000); 0: any free one.")
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Alias, Hugging Face id or folder (PRELOGIT_MODEL, smollm2-135m)."),
    ] = None,
    device: Annotated[
        str | None, typer.Option(help="auto, cpu, cuda or cuda:N (PRELOGIT_DEVICE).")
    ] = None,
    home: Annotated[
        Path | None, typer.Option(help="Folder for data, models and logs (PRELOGIT_HOME).")
    ] = None,
    workers: Annotated[
        int | None, typer.Option(help="Workers for each model; 1 by default.")
    ] = None,
    reward_port: Annotated[
        int | None,
        typer.Option(help="Port of the reward service (PRELOGIT_REWARD_PORT, 8100); 0: any."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Start queue, reward service, workers and gateway here; Ctrl-C stops them.

    A part whose URL is set (PRELOGIT_REDIS_URL, PRELOGIT_DATABASE_URL, PRELOGIT_REWARD_URL)
    is not started: that one is used.
    """
    if os.name != "posix":
        raise LaunchError(
            "`prelogit up` needs Linux or macOS: run it in a Linux container, or start the services "
            "one by one"
        )
    from prelogit.launch.settings import up_settings
    from prelogit.launch.up import up as run_up

    settings = up_settings(
        port=port, model=model, device=device, home=home, workers=workers, reward_port=reward_port
    )

    def ready(url: str) -> None:
        if as_json:
            print_json({"url": url, "home": str(settings.home), "pid": os.getpid()})
        else:
            told = f"Prelogit is ready at [bold]{url}[/bold] (API: {url}/docs; Ctrl-C stops)"
            out.print(told, highlight=False, soft_wrap=True)
        sys.stdout.flush()

    run_up(settings, log=notes.file, on_ready=ready)
