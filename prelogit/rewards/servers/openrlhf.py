"""OpenRLHF's ``/get_reward``: whole texts, to which no special token is added.

It cuts at a length that it does not tell, without a word.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prelogit.rewards.documents import Document
from prelogit.rewards.servers.parts import parts
from prelogit.rewards.servers.protocol import Asked, Protocol, Said, Settings, Written
from prelogit.rewards.servers.reading import as_many, field


def ask(written: Sequence[Written], settings: Settings, items: int, size: int) -> Iterator[Asked]:
    """``query`` alone: nobody but rule-based rewards reads ``prompts`` and ``labels``."""
    for places in parts(written, items, size):
        yield Asked({"query": [written[place].text for place in places]}, places)


def read(answer: Document, asked: Asked, settings: Settings) -> Said:
    """``{"rewards": […]}`` in order."""
    rewards = field(answer, "rewards")
    as_many(rewards, asked)
    return Said(rewards)


PROTOCOL = Protocol(
    "openrlhf",
    "/get_reward",
    ask,
    read,
    frozenset({"tokenizer", "text", "truncation", "max_tokens"}),
    adds_special=False,
)
