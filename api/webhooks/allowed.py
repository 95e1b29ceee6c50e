"""Whether a job may have its webhook told."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from urllib.parse import urlsplit

from api.settings import Settings
from prelogit.core.errors import InputError
from prelogit.egress.signing import secrets_for
from prelogit.egress.urls import ANY, allowed_by
from prelogit.wire.problem import FieldProblem
from prelogit.wire.webhook import Webhook


def webhook_problems(webhook: Webhook | None, settings: Settings) -> Iterator[FieldProblem]:
    """What this installation refuses of a request's webhook."""
    if webhook is None:
        return
    try:
        entry_for(webhook.url, settings.webhook_urls)
        secrets_for(webhook.url, settings.webhook_secrets)
    except InputError as error:
        yield FieldProblem(field="webhook.url", message=str(error))


def entry_for(url: str, allowed: Sequence[str]) -> str:
    """The entry of PRELOGIT_WEBHOOK_URLS that allows the URL.

    Raises: InputError: none does; names the setting, not the entries.
    """
    entry = allowed_by(url, allowed)
    if entry is None:
        raise InputError(
            "this installation does not post webhooks to that URL: it takes those of public "
            "addresses alone, or not even those; have the beginning of the URL put into "
            "PRELOGIT_WEBHOOK_URLS",
            field="webhook.url",
        )
    if entry == ANY and urlsplit(url).scheme != "https":
        raise InputError(
            "this installation posts webhooks over https alone: give an https URL, or have the "
            "beginning of this one put into PRELOGIT_WEBHOOK_URLS",
            field="webhook.url",
        )
    return entry
