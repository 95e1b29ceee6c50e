"""vLLM's ``/score``: cross-encoders that read question and response as a pair."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prelogit.rewards.documents import Document
from prelogit.rewards.servers import vllm
from prelogit.rewards.servers.parts import parts
from prelogit.rewards.servers.protocol import Asked, Protocol, Said, Settings, Written
from prelogit.rewards.servers.reading import field, in_place, model_of, tokens_of


def ask(written: Sequence[Written], settings: Settings, items: int, size: int) -> Iterator[Asked]:
    """One question a request, and all its responses."""
    common = vllm.fields(settings)
    for places in parts(written, items, size, together=lambda one: one.pair and one.pair[0]):
        pairs = [one.pair for place in places if (one := written[place]).pair is not None]
        body = {**common, "text_1": pairs[0][0], "text_2": [response for _, response in pairs]}
        yield Asked(body, places)


def read(answer: Document, asked: Asked, settings: Settings) -> Said:
    """``data[{index, object, score}]``."""
    values = [entry.get("score") for entry in in_place(field(answer, "data"), asked)]
    return Said(values, model_of(answer), tokens_of(answer), vllm.cut(answer, asked, settings))


PROTOCOL = Protocol(
    "vllm-score",
    "/score",
    ask,
    read,
    vllm.OPTIONS - {"label"},
    texts=("plain",),
    pairs=True,
    cuts=True,
    refuses=True,
    strip=vllm.STRIP,
)
