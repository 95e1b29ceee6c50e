"""SGLang's ``/classify``: the reward stands in a field called ``embedding``, without activation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from prelogit.core.errors import RewardAnswerError
from prelogit.rewards.documents import Document
from prelogit.rewards.servers.parts import parts
from prelogit.rewards.servers.protocol import Asked, Protocol, Said, Settings, Written
from prelogit.rewards.servers.reading import as_many, chosen, count, refuse_probabilities


def ask(written: Sequence[Written], settings: Settings, items: int, size: int) -> Iterator[Asked]:
    """Tokens where they are known, for text is given BOS even if its template wrote one."""
    for places in parts(written, items, size):
        rows = [written[place] for place in places]
        body: dict[str, Any] = {} if settings.model is None else {"model": settings.model}
        if settings.text == "chat":
            body["input_ids"] = [row.ids for row in rows]
        else:
            body["text"] = [row.text for row in rows]
        yield Asked(body, places)


def read(answer: Document, asked: Asked, settings: Settings) -> Said:
    """``[{embedding, meta_info}]`` in order; a bare object where one was asked for.

    Raises: RewardAnswerError: also when the server read another number of tokens than were sent, and
            when it answers with a distribution over several labels.
    """
    entries = answer if isinstance(answer, list) else [answer]
    as_many(entries, asked)
    refuse_probabilities(
        [entry.get("embedding") for entry in entries if isinstance(entry, dict)],
        "serve the model so that it gives its logits",
    )
    sent = asked.body.get("input_ids")
    values, tokens = [], 0
    for number, (entry, place) in enumerate(zip(entries, asked.places, strict=True)):
        values.append(
            chosen(
                entry.get("embedding") if isinstance(entry, dict) else None, settings.label, place
            )
        )
        meta = entry.get("meta_info")
        seen = count(meta.get("prompt_tokens")) if isinstance(meta, dict) else 0
        tokens += seen
        if sent is not None and seen and seen < len(sent[number]):
            raise RewardAnswerError(
                f"the server has cut response {place} to {seen} of {len(sent[number])} tokens: start it "
                "without --allow-auto-truncate, or set truncation and max_tokens here"
            )
    return Said(values, tokens=tokens)


PROTOCOL = Protocol(
    "sglang",
    "/classify",
    ask,
    read,
    frozenset({"model", "tokenizer", "text", "label", "truncation", "max_tokens"}),
    ids=True,
    refuses=True,
)
