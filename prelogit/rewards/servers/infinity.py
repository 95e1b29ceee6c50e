"""infinity's ``/rerank``: question and response as a pair; sorted by score, with a sigmoid by default.

It cuts what is too long without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prelogit.rewards.documents import Document
from prelogit.rewards.servers.parts import parts
from prelogit.rewards.servers.protocol import Asked, Protocol, Said, Settings, Written
from prelogit.rewards.servers.reading import field, in_place, model_of, tokens_of


def ask(written: Sequence[Written], settings: Settings, items: int, size: int) -> Iterator[Asked]:
    """One question a request, and all its responses."""
    for places in parts(written, items, size, together=lambda one: one.pair and one.pair[0]):
        pairs = [one.pair for place in places if (one := written[place]).pair is not None]
        body: dict[str, Any] = {
            "query": pairs[0][0],
            "documents": [response for _, response in pairs],
            "raw_scores": not settings.activation,
            "return_documents": False,
        }
        yield Asked(body if settings.model is None else {"model": settings.model, **body}, places)


def read(answer: Document, asked: Asked, settings: Settings) -> Said:
    """``results[{index, relevance_score}]``, the best first."""
    entries = in_place(field(answer, "results"), asked)
    values = [entry.get("relevance_score") for entry in entries]
    return Said(values, model_of(answer), tokens_of(answer))


PROTOCOL = Protocol(
    "infinity",
    "/rerank",
    ask,
    read,
    frozenset({"model", "tokenizer", "activation", "truncation", "max_tokens"}),
    texts=("plain",),
    pairs=True,
)
