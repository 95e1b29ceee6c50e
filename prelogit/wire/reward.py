"""The reward that a job names: one of this installation, or a server by its URL."""

from __future__ import annotations

from typing import Annotated, Any, Literal, NamedTuple, Self
from urllib.parse import unquote, urlsplit

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    field_validator,
    model_serializer,
    model_validator,
)

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
    "key",
)
DEFAULT = "relevance"


class Named(NamedTuple):
    """What one text says of a reward: ``relevance``, or ``tei+http://127.0.0.1:8080#model``."""

    protocol: str | None
    url: str | None
    name: str | None  # a reward's, or behind the # that of the server's model


class RewardRef(Strict):
    """The reward that steers the search.

    name: of a reward of this installation ("relevance" where nothing is said); beside a url, what the
    reward is called in results. url: of a server, which the installation must allow; it holds no user and
    no password. protocol: what the server speaks. model: which of its models. tokenizer: whose chat
    template writes the conversations for a server that takes text. label: which label's score, of several.
    activation: let the server squeeze its scores. truncation, max_tokens: what happens to a text
    that is longer than the reward reads. form: of a judge's question. key: name of a key that the
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
    def _one_of_two(self) -> Self:
        if self.url is None:
            told = [name for name in OPTIONS if getattr(self, name) is not None]
            if told:
                raise ValueError(
                    f"{told[0]} is of a reward server: give its url, or leave {told[0]} out (a reward of "
                    "this installation has its options in PRELOGIT_REWARDS)"
                )
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

    @property
    def options(self) -> dict[str, Any]:
        """What is said of the server, beside url, name and key."""
        said = {name: getattr(self, name) for name in OPTIONS if name != "key"}
        return {name: value for name, value in said.items() if value is not None}

    @model_serializer(mode="wrap")
    def _what_is_said(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        return {name: value for name, value in handler(self).items() if value is not None}


def named(text: str) -> Named:
    """Read the one-text form that commands and settings have."""
    scheme, mark, rest = text.partition("://")
    if not mark:
        return Named(None, None, text)
    protocol, plus, bare = scheme.rpartition("+")
    place, _, name = rest.partition("#")
    return Named(protocol if plus else None, f"{bare}://{place}", unquote(name) or None)


def reward_body(text: str) -> dict[str, str]:
    """The JSON of a reward that is told in one text."""
    told = named(text)
    if told.url is None:
        return {"name": text}
    body = {"url": told.url, "protocol": told.protocol, "model": told.name}
    return {name: value for name, value in body.items() if value is not None}
