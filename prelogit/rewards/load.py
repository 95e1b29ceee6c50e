"""From what a user names to a reward that scores."""

from __future__ import annotations

from collections.abc import Callable
from difflib import get_close_matches
from inspect import signature
from typing import Any

from prelogit.core.errors import InputError
from prelogit.rewards.function import from_callable, from_path
from prelogit.rewards.local import LocalReward, relevance
from prelogit.rewards.protocol import Score
from prelogit.rewards.servers.options import known_options
from prelogit.rewards.servers.protocols import PROTOCOLS
from prelogit.rewards.servers.reward import ServerReward
from prelogit.rewards.service import ServiceReward
from prelogit.wire.server_text import options_in, server_in

NAMED = {"relevance": relevance}


def load_reward(name: str | Callable[..., Any], /, **options: Any) -> Score:
    """A reward by name, URL, ``module:callable``, or as a callable.

    Args:   name: ``"relevance"`` (sentence embeddings, in this process); the URL of a server;
            ``"module:callable"``; or a callable ``(conversations, responses) -> list of floats``.
            Of a URL, ``#name`` at its end picks one of several rewards or models, and
            ``protocol``, as an option or before it (``"tei+http://host:8080"``), says how the
            server is spoken to: one of ``PROTOCOLS``, and our own reward service's by default.
            options: of ``load_embedding``, ``ServiceReward``, ``ServerReward``, ``from_path``,
            ``from_callable``.
    Raises: InputError: nothing of that name. ModelError: it cannot be loaded.
    """
    if isinstance(name, (LocalReward, ServiceReward, ServerReward)):
        return name
    if callable(name):
        return from_callable(name, **options)
    if name in NAMED:
        return NAMED[name](**options)
    server = server_in(name)
    if server is not None:
        if options.get("protocol", server.protocol) != server.protocol:
            raise InputError(
                f"the reward's URL says the protocol {server.protocol}, and protocol another one: "
                "leave one of them out",
                field="protocol",
            )
        return _behind(server.url, **{**server.options, **options, "protocol": server.protocol})
    if name.lower().startswith(("http://", "https://")):
        told = options_in(name)
        return _behind(told.url, **{**told.options, **options})
    if "protocol" in options:
        raise InputError(
            "a protocol is that of a server: give its URL, which looks like http://127.0.0.1:8000",
            field="reward",
        )
    if ":" in name:
        return from_path(name, **options)
    near = get_close_matches(name, NAMED, n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise InputError(
        f"there is no reward {name!r}: {hint}give {', '.join(map(repr, NAMED))}, the URL of a reward "
        "service, or a Python function as module:callable",
        field="reward",
    )


def _behind(url: str, *, protocol: str = "prelogit", **options: Any) -> Score:
    """The reward behind a URL."""
    if protocol not in PROTOCOLS:
        near = get_close_matches(str(protocol), PROTOCOLS, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        raise InputError(
            f"there is no protocol {protocol!r}: {hint}it is one of {', '.join(sorted(PROTOCOLS))}",
            field="protocol",
        )
    if protocol == "prelogit":
        known_options(protocol, frozenset(signature(ServiceReward).parameters) - {"url"}, options)
    return PROTOCOLS[protocol](url, **options)
