"""``/predict`` of text-embeddings-inference: classifiers and rerankers.

An activation is on by default, and so is cutting what is too long. Labels come sorted by score.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from prelogit.core.errors import RewardAnswerError
from prelogit.rewards.documents import Document
from prelogit.rewards.servers.parts import parts
from prelogit.rewards.servers.protocol import Asked, Protocol, Said, Settings, Written
from prelogit.rewards.servers.reading import as_many, refuse_probabilities


def ask(written: Sequence[Written], settings: Settings, items: int, size: int) -> Iterator[Asked]:
    """A list of lists always: ``["a", "b"]`` would be one pair, not two texts."""
    counted = settings.tokenizer is not None
    cuts = settings.truncation != "refuse" and not counted
    for places in parts(written, items, size):
        rows = [written[place] for place in places]
        body = {
            "inputs": [list(row.pair) if row.pair is not None else [row.text] for row in rows],
            "raw_scores": not settings.activation,
            "truncate": cuts,
        }
        if cuts:
            body["truncation_direction"] = settings.truncation
        yield Asked(body, places)


def read(answer: Document, asked: Asked, settings: Settings) -> Said:
    """``[[{score, label}, …], …]``; a flat list where one was asked for."""
    rows = answer if isinstance(answer, list) else []
    if len(asked.places) == 1 and rows and isinstance(rows[0], dict):
        rows = [rows]
    as_many(rows, asked)
    if not settings.activation:
        refuse_probabilities([_numbers(row) for row in rows])
    values = [
        _score(row, settings.label, place) for row, place in zip(rows, asked.places, strict=True)
    ]
    return Said(values)


def _numbers(row: object) -> list[object]:
    entries = row if isinstance(row, list) else []
    return [one.get("score") for one in entries if isinstance(one, dict)]


def _score(row: object, label: int | str | None, place: int) -> object:
    """The score of the reward's label: by name, for they are sorted by score."""
    by_label = {
        one["label"]: one["score"]
        for one in (row if isinstance(row, list) else [])
        if isinstance(one, dict) and isinstance(one.get("label"), str) and "score" in one
    }
    if not by_label or len(by_label) != len(row if isinstance(row, list) else []):
        raise RewardAnswerError(
            f"the server's answer for response {place} is no list of scores with a label each: check "
            "that the URL and the protocol fit each other"
        )
    listed = ", ".join(map(repr, sorted(by_label)))
    if label is None:
        if len(by_label) == 1:
            return next(iter(by_label.values()))
        raise RewardAnswerError(
            f"the server's model has {len(by_label)} labels: set label to the one that is the reward, "
            f"one of {listed}"
        )
    for name in (str(label), f"LABEL_{label}"):
        if name in by_label:
            return by_label[name]
    raise RewardAnswerError(
        f"the server's model has no label {label!r}: set label to one of {listed}"
    )


PROTOCOL = Protocol(
    "tei",
    "/predict",
    ask,
    read,
    frozenset({"tokenizer", "text", "label", "activation", "truncation", "max_tokens"}),
    pairs=True,
    cuts=True,
    refuses=True,
    items=32,  # what such a server takes where it is not told otherwise
)
