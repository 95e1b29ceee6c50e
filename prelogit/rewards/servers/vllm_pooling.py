"""vLLM's ``/pooling``: whatever a model's pooler gives, with an activation by default."""

from __future__ import annotations

from prelogit.core.errors import RewardAnswerError
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
    """``data[{index, object, data}]``; a number for each label, or a row of them for each token."""
    entries = in_place(field(answer, "data"), asked)
    rows = [
        _one_row(entry.get("data"), place)
        for entry, place in zip(entries, asked.places, strict=True)
    ]
    if not settings.activation:
        refuse_probabilities(rows)
    values = [
        chosen(row, settings.label, place) for row, place in zip(rows, asked.places, strict=True)
    ]
    return Said(values, model_of(answer), tokens_of(answer), vllm.cut(answer, asked, settings))


def _one_row(data: object, place: int) -> object:
    if not (isinstance(data, list) and data and isinstance(data[0], list)):
        return data
    if len(data) > 1:
        raise RewardAnswerError(
            f"the server answered with {len(data)} rows of numbers for response {place}, one for each "
            'token: start it with --pooler-config \'{"task": "classify"}\' (of older versions: '
            '\'{"pooling_type": "LAST"}\'), so that the last token is read'
        )
    return data[0]


PROTOCOL = Protocol(
    "vllm-pooling",
    "/pooling",
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
