"""What a user says of a server, checked before the first request."""

from __future__ import annotations

from collections.abc import Mapping
from difflib import get_close_matches
from typing import Any, get_args

from prelogit.core.errors import InputError
from prelogit.rewards.servers.protocol import Protocol, Settings, Text, Truncation
from prelogit.rewards.servers.writing import load_tokenizer
from prelogit.wire.server_text import SECONDS, WHOLE

MORE = {"form": "grade", "top_logprobs": 20, "instructions": None, "body": None}
OF_ALL = (SECONDS | WHOLE | {"key_env", "key", "public_only"}) - {"max_tokens", "top_logprobs"}


def settings(protocol: Protocol, given: Mapping[str, Any]) -> Settings:
    """
    Raises: InputError: what this kind of server cannot be told, or that leaves open what it would
            read; names the option. ModelError: there is no such tokenizer.
    """
    known_options(protocol.name, protocol.options | OF_ALL, given)
    _numbers(given)
    truncation = _one_of(given.get("truncation", "refuse"), get_args(Truncation), "truncation")
    tokenizer, max_tokens = given.get("tokenizer"), given.get("max_tokens")
    text = given.get("text") or (_default(protocol, tokenizer))
    _one_of(text, protocol.texts, "text")
    if text == "chat" and tokenizer is None and not protocol.messages:
        raise InputError(
            f"a {protocol.name} server reads text, and applies no chat template: give tokenizer, the "
            "folder or id of the reward model's tokenizer, whose template is then applied here, or say "
            'text="plain"',
            field="tokenizer",
        )
    if "truncation" in protocol.options:
        _truncation(protocol, text, truncation, tokenizer, max_tokens)
    label = given.get("label")
    if protocol.name != "tei" and label is not None and (type(label) is not int or label < 0):
        raise InputError(
            f"a {protocol.name} server does not name its labels: give the label's index, from 0",
            field="label",
        )
    if protocol.name == "judge":
        _one_of(given.get("form", "grade"), ("grade", "yes-no"), "form")
        if not given.get("model"):
            raise InputError("a judge needs its model's name: give model", field="model")
    return Settings(
        model=given.get("model"),
        text=text,
        tokenizer=load_tokenizer(tokenizer),
        label=label,
        activation=bool(given.get("activation", False)),
        truncation=truncation,
        max_tokens=max_tokens,
        more={name: given.get(name, default) for name, default in MORE.items()},
    )


def known_options(protocol: str, options: frozenset[str], given: Mapping[str, Any]) -> None:
    """
    Raises: InputError: an option that this protocol does not have; names the nearest.
    """
    known = sorted(options)
    for name in given:
        if name not in known:
            near = get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]!r}? " if near else ""
            raise InputError(
                f"the protocol {protocol} has no option {name!r}: {hint}it has {', '.join(known)}",
                field=name,
            )


def _default(protocol: Protocol, tokenizer: Any) -> Text:
    """``chat`` where a template is at hand, a pair where the server is made for them."""
    if protocol.texts[0] == "chat" and protocol.pairs and tokenizer is None:
        return "plain"
    return protocol.texts[0]


def _truncation(
    protocol: Protocol, text: str, truncation: str, tokenizer: Any, max_tokens: int | None
) -> None:
    """Nothing that would be ignored, and nothing that would cut where the score is read."""
    if tokenizer is not None:
        own = getattr(tokenizer, "model_max_length", None)
        if truncation != "refuse" and max_tokens is None and not protocol.refuses:
            raise InputError(
                f"a {protocol.name} server does not tell how much it reads: give max_tokens, the length "
                f"that it was started with{'' if own is None else ' (not that of the tokenizer)'}",
                field="max_tokens",
            )
        return
    if truncation == "refuse":
        if max_tokens is not None:
            raise InputError(
                "max_tokens counts tokens, for which the reward model's tokenizer is needed: give "
                'tokenizer, or say how to cut by truncation="left" or "right"',
                field="max_tokens",
            )
        return
    if not protocol.cuts:
        raise InputError(
            f"a {protocol.name} server cannot be told how to cut: give tokenizer and max_tokens, and it "
            "is done here",
            field="truncation",
        )
    if max_tokens is not None and protocol.name == "tei":
        raise InputError(
            "a tei server cuts at the length of its model: leave out max_tokens, or give tokenizer, and "
            "it is done here",
            field="max_tokens",
        )
    if truncation == "right" and text == "chat":
        raise InputError(
            "the server would cut the end of the chat template, where the score is read: say "
            'truncation="left", or give tokenizer, and the response is cut here',
            field="truncation",
        )


def _numbers(given: Mapping[str, Any]) -> None:
    for name in WHOLE & given.keys():
        value = given[name]
        if value is not None and (type(value) is not int or value < 1):
            raise InputError(f"{name} must be a whole number from 1", field=name)
    for name in SECONDS & given.keys():
        value = given[name]
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not value >= 0:
            raise InputError(f"{name} must be a number of seconds", field=name)


def _one_of(value: Any, allowed: tuple[Any, ...], name: str) -> Any:
    if value not in allowed:
        raise InputError(
            f"{name} cannot be {value!r} here: say {' or '.join(map(repr, allowed))}", field=name
        )
    return value
