"""The reward that a job names: one of this installation, or a server by its URL."""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self
from urllib.parse import unquote, urlsplit

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

from prelogit.wire.server_text import server_in
from prelogit.wire.strict import Strict

Identifier = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f/\\?#]+$")]
Short = Annotated[str, Field(min_length=1, max_length=500)]
Protocol = Literal[
    "prelogit",
    "vllm-classify",
    "vllm-pooling",
    "vllm-score",
    "sglang",
    "tei",
    "openrlhf",
    "infinity",
    "judge",
]
OPTIONS = (
    "protocol",
    "model",
    "tokenizer",
    "label",
    "activation",
    "truncation",
    "max_tokens",
    "form",
    "text",
    "key",
)
_CUT = frozenset({"tokenizer", "max_tokens", "truncation"})
OPTIONS_OF: dict[str, frozenset[str]] = {
    "prelogit": frozenset({"model"}),
    "vllm-classify": _CUT | {"model", "activation", "label", "text"},
    "vllm-pooling": _CUT | {"model", "activation", "label", "text"},
    "vllm-score": _CUT | {"model", "activation", "text"},
    "sglang": _CUT | {"model", "label", "text"},
    "tei": _CUT | {"activation", "label", "text"},
    "openrlhf": _CUT | {"text"},
    "infinity": _CUT | {"model", "activation"},
    "judge": frozenset({"model", "form", "max_tokens"}),
}
DEFAULT = "relevance"


class RewardRef(Strict):
    """The reward that steers the search.

    name: of a reward of this installation ("relevance" where nothing is said); beside a url, what the
    reward is called in results. url: of a server, which the installation must allow; it holds no user and
    no password. protocol: what the server speaks. model: which of its models. tokenizer: whose chat
    template writes the conversations for a server that takes text. label: which label's score, of several.
    activation: let the server squeeze its scores. truncation, max_tokens: what happens to a text
    that is longer than the reward reads. form: of a judge's question. text: how a conversation is written. key: name of a key that the
    installation holds for this server, never the key itself.
    """

    name: Identifier | None = None
    url: Annotated[str, Field(min_length=1, max_length=2000)] | None = None
    protocol: Protocol | None = None
    model: Short | None = None
    tokenizer: Short | None = None
    label: Annotated[int, Field(ge=0)] | Short | None = None
    activation: bool | None = None
    truncation: Literal["refuse", "left", "right"] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    form: Literal["grade", "yes-no"] | None = None
    text: Literal["chat", "plain", "response"] | None = None
    key: Identifier | None = None

    @model_validator(mode="before")
    @classmethod
    def _has_a_name(cls, told: Any) -> Any:
        if isinstance(told, dict) and told.get("url") is None and told.get("name") is None:
            return {**told, "name": DEFAULT}
        return told

    @field_validator("url")
    @classmethod
    def _shows_no_secret(cls, url: str | None) -> str | None:
        if url is None:
            return None
        try:
            parts = urlsplit(url)
            known = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
        except ValueError:
            known = False
        if not known:
            raise ValueError("must look like http://127.0.0.1:8100")
        if "@" in parts.netloc or parts.query:
            raise ValueError(
                "must hold neither user, password nor query, for a job is shown to others: have "
                "the key set up in this installation (PRELOGIT_REWARD_KEYS) and name it as key"
            )
        return url

    @model_validator(mode="after")
    def _options_fit(self) -> Self:
        told = [name for name in OPTIONS if getattr(self, name) is not None]
        if self.url is None:
            if told:
                raise ValueError(
                    f"{told[0]} is of a reward server: give its url, or leave {told[0]} out (a reward of "
                    "this installation has its options in PRELOGIT_REWARDS)"
                )
            return self
        protocol = self.protocol or "prelogit"
        known = OPTIONS_OF[protocol] | {"protocol", "key"}
        strange = [name for name in told if name not in known]
        if strange:
            raise ValueError(
                f"the protocol {protocol} has no {strange[0]}: it has "
                f"{', '.join(sorted(OPTIONS_OF[protocol]))}"
            )
        if protocol == "judge" and self.model is None:
            raise ValueError("a judge needs its model's name: give model")
        return self

    @property
    def hosted(self) -> str:
        """The name in this installation, of a reference without a URL."""
        return self.name or DEFAULT

    @property
    def shown(self) -> str:
        """What results call it."""
        if self.url is None or self.name is not None:
            return self.hosted
        return self.model or urlsplit(self.url).netloc

    def same_as(self, other: RewardRef) -> bool:
        """Whether both are the same reward, whatever results call them."""
        if self.url is None or other.url is None:
            return self.url == other.url and self.hosted == other.hosted
        mine, others = ({"protocol": "prelogit", **one.options} for one in (self, other))
        return self.url.rstrip("/") == other.url.rstrip("/") and mine == others

    @property
    def options(self) -> dict[str, Any]:
        """What is said of the server, beside url, name and key."""
        said = {name: getattr(self, name) for name in OPTIONS if name != "key"}
        return {name: value for name, value in said.items() if value is not None}

    @model_serializer(mode="wrap")
    def _what_is_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


def reward_body(text: str) -> dict[str, Any]:
    """The JSON of a reward that is told in one text: ``relevance``, or ``tei+http://host:8080#model``.

    Raises: InputError: an option in it cannot be one.
    """
    server = server_in(text)
    if server is None and not text.startswith(("http://", "https://")):
        return {"name": text}
    url, options = (text, {}) if server is None else (server.url, server.options)
    place, _, model = url.partition("#")
    body = {"url": place, **options, "model": unquote(model) or options.get("model")}
    if server is not None:
        body["protocol"] = server.protocol
    return {name: value for name, value in body.items() if value is not None}
