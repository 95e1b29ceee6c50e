"""One prompt: as it is posted, and as it stands in a job."""

from __future__ import annotations

from collections.abc import Container
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from prelogit.wire.reward import Identifier
from prelogit.wire.strict import Strict


class Message(Strict):
    """One turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str


class PromptItem(Strict):
    """One prompt: an optional id, and either plain text or a conversation."""

    id: Identifier | None = None
    prompt: Annotated[str, Field(min_length=1)] | None = None
    messages: Annotated[tuple[Message, ...], Field(min_length=1, strict=False)] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> Self:
        if (self.prompt is None) == (self.messages is None):
            raise ValueError("give either prompt or messages, and not both")
        if self.messages is not None and self.messages[-1].role == "assistant":
            raise ValueError(
                "the last message must not be the assistant's: it is what is searched for"
            )
        return self


PromptField = Annotated[str, Field(min_length=1)] | PromptItem


def named(prompt: str | PromptItem, index: int, taken: Container[str]) -> PromptItem:
    """The prompt at this place (from 0) of a job, with its id.

    Without one it gets ``p`` and its place, counted from 1 (``p1``, ``p2``, …), stepping aside
    where a client uses that name: ``taken`` are the ids that came with the job's prompts.
    """
    item = PromptItem(prompt=prompt) if isinstance(prompt, str) else prompt
    if item.id is not None:
        return item
    name = f"p{index + 1}"
    while name in taken:
        name += "_"
    return item.model_copy(update={"id": name})


class JobPrompt(BaseModel):
    """A prompt of a job. ``item``: as it was posted, with its id; ``index``: its place, from 0."""

    prompt_id: str
    index: int
    status: Literal["queued", "running", "succeeded", "failed", "cancelled"]
    prompt_tokens: int
    item: PromptItem
