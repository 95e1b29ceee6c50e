"""A reward that is computed in this process: what it is, and its scoring function. Torch-free."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from prelogit.core.errors import InputError

Conversation = Sequence[dict[str, str]]
"""Messages with ``role`` and ``content``: what stands before a response."""

Whole = str | list[int]
"""All that a model reads for an item, template and all: text, or ids of its own tokenizer."""


class Scored(NamedTuple):
    """Raw scores, one an item and in order; whether they are finite is checked by the caller."""

    scores: list[float]
    tokens: list[int]  # that the item cost; a text that repeats in the call costs once
    truncated: list[bool] | None = None  # the item was longer than the model reads; None: no limit
    lengths: list[int] | None = None  # tokens of the item, whatever it cost; None: what it cost

    @property
    def long(self) -> list[int]:
        """Tokens of each item as the model reads it."""
        return self.tokens if self.lengths is None else self.lengths


class HostedReward(NamedTuple):
    """A loaded reward. ``score`` blocks, and is called from one thread at a time.

    score(conversations, responses) -> Scored
    Raises: InputError: a conversation that it cannot read.
            RewardError: whatever else went wrong and was foreseen.
    """

    name: str
    kind: str
    description: str
    fingerprint: str | None
    low: float | None
    high: float | None
    score: Callable[[Sequence[Conversation], Sequence[str]], Scored]
    # Whole items, as the model reads them: no template is applied. None: it has no such form.
    score_text: Callable[[Sequence[Whole]], Scored] | None = None
    # Tokens of responses alone, by the reward's own tokenizer. None: it has none.
    count_tokens: Callable[[Sequence[str]], list[int]] | None = None
    labels: int = 1  # numbers that the model gives, of which the score is made
    relative: bool = False  # a score depends on what else is in the call: calls are never merged


def only_texts(name: str, items: Sequence[Whole]) -> list[str]:
    """Whole items for a reward that has no tokenizer of its own.

    Raises: InputError: one is token ids.
    """
    texts = [item for item in items if isinstance(item, str)]
    if len(texts) != len(items):
        raise InputError(
            f"the reward {name!r} has no tokenizer of its own: send texts, not token ids"
        )
    return texts


def last_user_text(conversation: Conversation, place: int = 0) -> str:
    """The text of the last user turn, or of the last turn where no user speaks.

    Raises: InputError: the conversation is empty; names its place.
    """
    if not conversation:
        raise InputError(
            f"conversation {place} has no messages: give at least one user message",
            field=f"conversations[{place}]",
        )
    for message in reversed(conversation):
        if message["role"] == "user":
            return message["content"]
    return conversation[-1]["content"]
