"""API keys of the store that a stack on this machine uses, whether or not it runs."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

from prelogit.core.errors import LaunchError
from prelogit.launch.settings import UpSettings
from prelogit.launch.stack import service_env
from prelogit.wire.keys import KeyInfo, KeyRequest, NewKey

_SECONDS = 120.0


def create(settings: UpSettings, request: KeyRequest) -> NewKey:
    """Make a key. Raises LaunchError: the store cannot be used; with the cure."""
    asked = {"do": "create", "request": request.model_dump(mode="json")}
    return NewKey.model_validate(_ask(settings, asked))


def listing(settings: UpSettings, project: str | None) -> list[KeyInfo]:
    """The keys of a project, or of all. Raises LaunchError."""
    return [
        KeyInfo.model_validate(one) for one in _ask(settings, {"do": "list", "project": project})
    ]


def revoke(settings: UpSettings, key_id: str) -> bool | None:
    """End a key: False when it was ended before, None when there is none. Raises LaunchError."""
    ended = _ask(settings, {"do": "revoke", "id": key_id})
    return None if ended is None else bool(ended)


def _ask(settings: UpSettings, command: dict[str, Any]) -> Any:
    """In a process of its own: the library must not load the store's code."""
    url = settings.database_url or f"sqlite:///{settings.home / 'prelogit.db'}"
    env = {**service_env(settings, os.environ), "PRELOGIT_DATABASE_URL": url}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "db.key_desk"],
            input=json.dumps(command),
            env=env,
            capture_output=True,
            text=True,
            timeout=_SECONDS,
        )
    except subprocess.TimeoutExpired as error:
        raise LaunchError("the store does not answer: check PRELOGIT_DATABASE_URL") from error
    if done.returncode != 0:
        told = done.stderr.strip().splitlines()
        raise LaunchError(told[-1] if told else "the store cannot be used")
    return json.loads(done.stdout)
