"""vLLM's ``/classify``: sequence classifiers, reward models with a classification head among them.

An activation is on by default. Special tokens are added to text, not to tokens or to messages.
"""

from __future__ import annotations

from prelogit.rewards.documents import Document
from prelogit.rewards.servers import vllm
from prelogit.rewards.servers.protocol import Asked, Protocol, Said, Settings
from prelogit.rewards.servers.reading import (
    chosen,
    field,
    in_place,
    model_of,
    refuse_probabilities,
    tokens_of,
)


def read(answer: Document, asked: Asked, settings: Settings) -> Said:
    """``data[{index, label, probs, num_classes}]``; ``label`` is only that of the largest."""
    entries = in_place(field(answer, "data"), asked)
    rows = [entry.get("probs") for entry in entries]
    if not settings.activation:
        refuse_probabilities(rows)
    values = [
        chosen(row, settings.label, place) for row, place in zip(rows, asked.places, strict=True)
    ]
    return Said(values, model_of(answer), tokens_of(answer), vllm.cut(answer, asked, settings))


PROTOCOL = Protocol(
    "vllm-classify",
    "/classify",
    vllm.ask,
    read,
    vllm.OPTIONS,
    messages=True,
    ids=True,
    cuts=True,
    refuses=True,
    strip=vllm.STRIP,
    at_once=vllm.AT_ONCE,
)
