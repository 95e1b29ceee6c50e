"""What vLLM's ``/classify``, ``/pooling`` and ``/score`` have in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prelogit.rewards.documents import Document
from prelogit.rewards.servers.parts import parts
from prelogit.rewards.servers.protocol import Asked, Settings, Written
from prelogit.rewards.servers.reading import tokens_of

OPTIONS = frozenset(
    {"model", "tokenizer", "text", "label", "activation", "truncation", "max_tokens"}
)
STRIP = ("/v1",)  # of OpenAI's form of the URL; these paths stand beside it
AT_ONCE = 16  # a conversation that the server templates is a request of its own


def fields(settings: Settings) -> dict[str, Any]:
    """Of every request. Raw numbers are asked for under both names that versions know."""
    body: dict[str, Any] = {
        "use_activation": settings.activation,
        "activation": settings.activation,
    }
    if settings.model is not None:
        body["model"] = settings.model
    if settings.tokenizer is None and settings.truncation != "refuse":
        # -1: the model's own limit.
        body["truncate_prompt_tokens"] = settings.max_tokens or -1
        body["truncation_side"] = settings.truncation
    return body


def ask(written: Sequence[Written], settings: Settings, items: int, size: int) -> Iterator[Asked]:
    """Requests of ``/classify`` and ``/pooling``; a conversation for the server's own template
    stands alone."""
    common = fields(settings)
    single = settings.text == "chat" and settings.tokenizer is None
    for places in parts(written, 1 if single else items, size):
        rows = [written[place] for place in places]
        if single:
            yield Asked({**common, "messages": rows[0].messages}, places)
        else:
            texts = [row.ids if row.ids is not None else row.text for row in rows]
            yield Asked({**common, "input": texts}, places)


def cut(answer: Document, asked: Asked, settings: Settings) -> list[bool] | None:
    """Whether the server cut its response: known of one alone, by the number of its tokens."""
    told = settings.max_tokens if settings.tokenizer is None else None
    read = tokens_of(answer)
    if settings.truncation == "refuse" or told is None or len(asked.places) != 1 or not read:
        return None
    return [read >= told]  # as long as can be counts as cut
