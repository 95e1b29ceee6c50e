"""The secrets that webhooks are signed with, and which of them sign what goes to a URL."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import AfterValidator, Field

from prelogit.core.errors import InputError
from prelogit.egress.keys import Place, Text, read_key
from prelogit.egress.urls import ANY, below

SETTING = "PRELOGIT_WEBHOOK_SECRETS"
SHORTEST = 16


class SigningSecret(Place):
    """A secret; ``url``: the beginning of the URLs that it is for, None: for all."""

    url: Text | None = None


def _not_too_many(told: dict[str, SigningSecret]) -> dict[str, SigningSecret]:
    if any(secret.url == ANY for secret in told.values()):
        raise ValueError('"*" is not the beginning of a URL: leave url out, for every receiver')
    return told


SigningSecrets = Annotated[
    dict[str, SigningSecret], AfterValidator(_not_too_many), Field(repr=False)
]


def secrets_for(
    url: str, secrets: Mapping[str, SigningSecret], *, field: str = "webhook.url"
) -> list[str]:
    """What signs a webhook to that URL, read now; several while a new one is brought in.

    Those with the URL's beginning, or else those for all: a receiver that has a secret of its
    own gets no signature that others can make.
    Raises: InputError: there is none, or one cannot be read; names it, and shows nothing of it.
    """
    own = {n: one for n, one in secrets.items() if one.url is not None and below(url, one.url)}
    chosen = own or {name: one for name, one in secrets.items() if one.url is None}
    if not chosen:
        raise InputError(
            "this installation has no secret to sign webhooks to that URL with: have one put into "
            f"{SETTING}, or leave webhook out",
            field=field,
        )
    held = []
    for name, one in chosen.items():
        secret = read_key(name, one, setting=SETTING, field=field)
        if len(secret) < SHORTEST:
            raise InputError(
                f"the key {name!r} of {SETTING} is too short to sign with: make one of {SHORTEST} "
                "characters or more, such as by `openssl rand -hex 32`",
                field=field,
            )
        held.append(secret)
    return held
