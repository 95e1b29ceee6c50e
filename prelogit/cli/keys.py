"""``prelogit keys``: API keys, made and ended in the store itself; no gateway need run."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from prelogit.cli.reporting import Json, notes, out, print_json, reported
from prelogit.core.errors import InputError
from prelogit.wire.keys import DEFAULT_PROJECT, KeyInfo, KeyRequest, key_parts

keys = typer.Typer(no_args_is_help=True, help="Make, list and revoke API keys.")
Home = Annotated[
    Path | None,
    typer.Option(help="Folder of the SQLite store, without PRELOGIT_DATABASE_URL (PRELOGIT_HOME)."),
]

_OPTIONS = {
    "project": "--project",
    "scopes": "--scope",
    "expires_at": "--expires",
    "rate_per_minute": "--rate",
    "running_prompts": "--running",
    "unfinished_prompts": "--unfinished",
}
_UNITS = {"m": "minutes", "h": "hours", "d": "days"}


@keys.command()
@reported
def create(
    project: Annotated[
        str, typer.Option(help="Whose jobs it posts and sees; '*': it sees all.")
    ] = DEFAULT_PROJECT,
    scope: Annotated[
        list[str] | None,
        typer.Option(
            help="submit (post, cancel, retry, delete), read, or admin (both, and keys); several "
            "times for several. Default: submit and read.",
            show_default=False,
        ),
    ] = None,
    expires: Annotated[
        str | None,
        typer.Option(help="When it ends: 90d, 12h, 30m, or a date such as 2030-01-31."),
    ] = None,
    rate: Annotated[
        str | None, typer.Option(help="Most requests a minute, such as 60/minute.")
    ] = None,
    running: Annotated[
        int | None, typer.Option(help="Most prompts that run at the same time.")
    ] = None,
    unfinished: Annotated[int | None, typer.Option(help="Most prompts that wait or run.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """Make a key. It is shown this once: only a hash of it is kept."""
    fields: dict[str, Any] = {
        "project": project,
        "expires_at": None if expires is None else _moment(expires),
        "rate_per_minute": None if rate is None else _per_minute(rate),
        "running_prompts": running,
        "unfinished_prompts": unfinished,
    }
    if scope:
        fields["scopes"] = scope
    request = _request(fields)
    from prelogit.launch import key_desk
    from prelogit.launch.settings import up_settings

    made = key_desk.create(up_settings(home=home), request)
    if as_json:
        print_json(made.model_dump(mode="json"))
        return
    told = f"key {made.id} of project {made.project} ({', '.join(made.scopes)}), shown this once:"
    notes.print(told, highlight=False, markup=False, soft_wrap=True)
    out.print(made.key, highlight=False, markup=False, soft_wrap=True)


@keys.command("list")
@reported
def list_(
    project: Annotated[str | None, typer.Option(help="Only keys of this one.")] = None,
    home: Home = None,
    as_json: Json = False,
) -> None:
    """List the keys, the newest first, without their secrets."""
    from prelogit.launch import key_desk
    from prelogit.launch.settings import up_settings

    found = key_desk.listing(up_settings(home=home), project)
    if as_json:
        print_json([one.model_dump(mode="json") for one in found])
    else:
        out.print(_table(found))


@keys.command()
@reported
def revoke(
    key_id: Annotated[
        str, typer.Argument(metavar="ID", help="The key's id, as in the list.", show_default=False)
    ],
    home: Home = None,
    as_json: Json = False,
) -> None:
    """End a key, for good: within two seconds it opens nothing. What it has posted goes on."""
    parts = key_parts(key_id)  # whoever pastes the whole key means that one
    key_id = key_id if parts is None else parts.id
    from prelogit.launch import key_desk
    from prelogit.launch.settings import up_settings

    ended = key_desk.revoke(up_settings(home=home), key_id)
    if ended is None:
        raise InputError(
            f"there is no key {key_id!r}: `prelogit keys list` shows the ids", field="ID"
        )
    if as_json:
        print_json({"id": key_id, "revoked": True})
    else:
        out.print(f"revoked {key_id}" if ended else f"{key_id} was revoked before", highlight=False)


def _request(fields: dict[str, Any]) -> KeyRequest:
    """Raises InputError: names the option."""
    try:
        return KeyRequest.model_validate(fields)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        option = _OPTIONS[str(first["loc"][0])]
        raise InputError(f"{option}: {first['msg']}", field=option) from None


def _moment(text: str) -> datetime:
    """A time from now on, or a date. Raises InputError."""
    wrong = InputError(
        f"--expires: {text!r} is no time: use 90d, 12h, 30m, or a date such as 2030-01-31",
        field="--expires",
    )
    span = re.fullmatch(r"(\d+)([mhd])", text)
    try:
        if span is not None:
            return datetime.now(UTC) + timedelta(**{_UNITS[span[2]]: int(span[1])})
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError):
        raise wrong from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


def _per_minute(text: str) -> int:
    """How many. Raises InputError."""
    found = re.fullmatch(r"(\d+)(/min(ute)?)?", text)
    if found is None:
        raise InputError(f"--rate: {text!r} is no rate: use one such as 60/minute", field="--rate")
    return int(found[1])


def _table(found: list[KeyInfo]) -> Table:
    table = Table("id", "project", "scopes", "made", "last used", "ends", "limits")
    for one in found:
        ends = "revoked" if one.revoked_at is not None else _shown(one.expires_at)
        limits = {
            "/minute": one.rate_per_minute,
            " running": one.running_prompts,
            " unfinished": one.unfinished_prompts,
        }
        table.add_row(
            one.id,
            one.project,
            ", ".join(one.scopes),
            _shown(one.created_at),
            _shown(one.last_used_at),
            ends,
            ", ".join(f"{limit}{of}" for of, limit in limits.items() if limit is not None),
        )
    return table


def _shown(moment: datetime | None) -> str:
    return "" if moment is None else f"{moment.astimezone(UTC):%Y-%m-%d %H:%M}"
