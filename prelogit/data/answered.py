"""A prompt with what its search has left: what every export format is made from."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from prelogit.core.records import Candidate
from prelogit.wire.jobs import PromptItem


class Answered(NamedTuple):
    """``response`` is the best answer; ``candidates`` are those that were kept, in any order."""

    item: PromptItem
    response: str
    candidates: Sequence[Candidate]
    generator: str  # who answered: model and method
    template: str = "chat"

    @property
    def messages(self) -> list[dict[str, str]]:
        """The prompt as a conversation; plain text is one user message."""
        if self.item.messages is not None:
            return [message.model_dump() for message in self.item.messages]
        return [{"role": "user", "content": self.item.prompt or ""}]

    @property
    def text(self) -> str:
        """The prompt as text: as it is, or its turns with their roles."""
        if self.item.messages is None:
            return self.item.prompt or ""
        if len(self.item.messages) == 1:
            return self.item.messages[0].content
        return "\n\n".join(f"{turn['role'].title()}: {turn['content']}" for turn in self.messages)
