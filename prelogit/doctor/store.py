"""The database, and what it knows of workers and of the work that waits for them."""

from __future__ import annotations

import os
import subprocess
import sys

from pydantic import ValidationError

from prelogit.doctor.finding import Wrong
from prelogit.doctor.parts import own_stack_runs
from prelogit.launch.settings import UpSettings
from prelogit.launch.stack import service_env
from prelogit.wire.store_report import StoreReport

_SECONDS = 30.0


def ask(settings: UpSettings) -> StoreReport | None:
    """What the store says; None where the first `prelogit up` is still to make it.

    Raises: Wrong: it does not answer, or its tables are of another version.
    """
    url, file = settings.database_url, settings.home / "prelogit.db"
    if not url:
        if not file.is_file():
            return None
        url = f"sqlite:///{file}"
    # In a process of its own: the library must not load the store's code.
    env = {**service_env(settings, os.environ), "PRELOGIT_DATABASE_URL": url}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "db.report"],
            env=env,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise Wrong("the store does not answer: check PRELOGIT_DATABASE_URL") from error
    if done.returncode != 0:
        last = done.stderr.strip().splitlines()
        raise Wrong(last[-1] if last else "the store cannot be checked")
    try:
        return StoreReport.model_validate_json(done.stdout)
    except ValidationError as error:
        raise Wrong("the store cannot be checked: install prelogit again") from error


def told(settings: UpSettings) -> str:
    """Of a store that is well, or not made yet."""
    if settings.database_url:
        postgresql = settings.database_url.startswith("postgres")
        return "PostgreSQL" if postgresql else f"SQLite in {settings.home}"
    made = (settings.home / "prelogit.db").is_file()
    return f"SQLite in {settings.home}" + ("" if made else "; the first `prelogit up` makes it")


def workers(settings: UpSettings, seen: StoreReport | None) -> str:
    """Who works. Without a running gateway and without work, nobody needs to.

    Raises: Wrong: prompts wait for a model that nobody serves, or a gateway runs without workers.
    """
    if seen is None:
        return "told once there is a store, and it is well"
    alive = ", ".join(f"{count} of {model}" for model, count in sorted(seen.workers.items()))
    for model, prompts in seen.waiting.items():
        if model not in seen.workers:
            raise Wrong(
                f"{prompts} prompt(s) wait for the model {model!r}, which no worker serves (alive: "
                f"{alive or 'none'}): start a worker with PRELOGIT_MODEL={model}, written as the "
                "jobs have it, or cancel them"
            )
    if seen.gateway or own_stack_runs(settings):
        if not seen.workers:
            raise Wrong(
                f"no worker has been heard of for {seen.silence_seconds:g} s: start one "
                "(`prelogit up`, or `python -P -m workers`)"
            )
        missing = [model for model in settings.offered if model not in seen.workers]
        if missing:
            raise Wrong(
                f"no worker serves {', '.join(map(repr, missing))} (alive: {alive}): start one with "
                "that PRELOGIT_MODEL, or take it out of PRELOGIT_MODELS"
            )
    return alive or "none; nothing waits for one"
