"""Whether a gateway may be opened to others: only where they need a key, and there is one."""

from __future__ import annotations

from sqlalchemy.orm import Session

from api.settings import Settings, listens_here_alone
from db import keys
from prelogit.core.errors import LaunchError

COMMAND = "prelogit keys create --scope admin"


def check_entry(settings: Settings, session: Session) -> str | None:
    """A warning where anybody comes in from outside, because a setting says so.

    Raises: LaunchError: nobody would come in; with the command that makes a key.
    """
    if not settings.keys_required:
        if listens_here_alone(settings.host):
            return None
        return (
            f"PRELOGIT_API_KEYS_REQUIRED is false and PRELOGIT_HOST is {settings.host}: whoever "
            "reaches this port may post jobs, read all results and cancel them"
        )
    if keys.any_usable(session):
        return None
    if settings.api_keys_required:
        why = "PRELOGIT_API_KEYS_REQUIRED is true"
        otherwise = "unset it"
    else:
        why = f"PRELOGIT_HOST is {settings.host}, which is not this machine alone"
        otherwise = "set PRELOGIT_HOST to 127.0.0.1"
    raise LaunchError(
        f"{why}, and the store has no API key that opens anything: make one by `{COMMAND}` with "
        f"the same PRELOGIT_DATABASE_URL or PRELOGIT_HOME, then start again; or {otherwise}"
    )
