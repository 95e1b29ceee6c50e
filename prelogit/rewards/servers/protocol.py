"""What a protocol is: how responses are put into requests, and read out of answers."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from prelogit.rewards.caller import TRY_AGAIN
from prelogit.rewards.documents import Document

Text = Literal["chat", "plain", "response"]
Truncation = Literal["refuse", "left", "right"]


class Written(NamedTuple):
    """A response with its conversation as a server is to read it: one of the first four."""

    messages: list[dict[str, str]] | None = None  # the server has the template
    ids: list[int] | None = None
    text: str | None = None
    pair: tuple[str, str] | None = None  # question and response
    cut: bool | None = None  # None: only the server could know


class Settings(NamedTuple):
    """Options of one reward. ``more``: those that a single protocol has."""

    model: str | None
    text: Text
    tokenizer: Any
    label: int | str | None
    activation: bool
    truncation: Truncation
    max_tokens: int | None
    more: Mapping[str, Any]


class Asked(NamedTuple):
    """One request. ``places``: of its responses in the whole call, in their order here."""

    body: dict[str, Any]
    places: Sequence[int]


class Said(NamedTuple):
    """What one answer says. ``values``: one for each response of its request, not yet checked."""

    values: Sequence[object]
    model: str | None = None
    tokens: int = 0
    cut: Sequence[bool] | None = None  # None: it does not say


class Protocol(NamedTuple):
    """One kind of server.

    Attributes:
        path: behind the server's URL. strip: endings of a URL that are no part of its address.
        options: what it has beside the options that all have.
        texts: what ``text`` may be; the first is meant where nothing is said, unless it is "chat"
            and there is neither a tokenizer nor a template on the server's side.
        messages: the server applies its own chat template.
        ids: it takes tokens; else text, to which it adds special tokens if ``adds_special``.
        pairs: it reads question and response as two segments.
        cuts: it can be told to cut. refuses: what is too long it refuses when told so.
        ask: the requests for all written responses, each at most ``items`` responses and about
            ``size`` bytes. read: what an answer says of the responses of its request.
        soften: the body to send in place of one that is refused with that status, or None.
        bounds: lowest and highest reward, where there are any.
    """

    name: str
    path: str
    ask: Callable[[Sequence[Written], Settings, int, int], Iterator[Asked]]
    read: Callable[[Document, Asked, Settings], Said]
    options: frozenset[str]
    texts: tuple[Text, ...] = ("chat", "plain", "response")
    messages: bool = False
    ids: bool = False
    adds_special: bool = True
    pairs: bool = False
    cuts: bool = False
    refuses: bool = False
    strip: tuple[str, ...] = ()
    items: int = 64
    at_once: int = 4
    busy: frozenset[int] = TRY_AGAIN
    soften: Callable[[dict[str, Any], int], dict[str, Any] | None] = lambda body, status: None
    bounds: Callable[[Settings], tuple[float, float] | None] = lambda settings: (
        (0.0, 1.0) if settings.activation else None
    )
