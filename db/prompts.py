"""What a worker needs of the prompts it has claimed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from sqlalchemy import select
from sqlalchemy.orm import Session

from db.holding import Claim
from db.models import JobRow, PromptRow
from prelogit.wire.jobs import ENDED, PromptItem


@dataclass(frozen=True)
class PromptSpec:
    """A prompt as it is to be decoded.

    ``text`` is None for a conversation; ``messages`` holds plain text as one user message.
    """

    prompt_id: str
    index: int
    messages: list[dict[str, str]]
    text: str | None
    template: Literal["chat", "none"]
    prompt_tokens: int
    item: PromptItem


def spec(session: Session, claim: Claim) -> list[PromptSpec]:
    """The claimed prompts, in the claim's order."""
    rows = session.execute(
        select(PromptRow.prompt_id, PromptRow.prompt_tokens).where(
            PromptRow.group_id == claim.group_id
        )
    )
    counts = {row.prompt_id: row.prompt_tokens for row in rows}
    items = {item.id: item for item in claim.request.prompts if isinstance(item, PromptItem)}
    return [
        PromptSpec(
            prompt_id=prompt.prompt_id,
            index=prompt.index,
            messages=_messages(items[prompt.prompt_id]),
            text=items[prompt.prompt_id].prompt,
            template=claim.request.template,
            prompt_tokens=counts[prompt.prompt_id],
            item=items[prompt.prompt_id],
        )
        for prompt in claim.prompts
        if prompt.prompt_id in counts
    ]


class Pool(NamedTuple):
    """The group of a claim, for prompts that share a budget.

    places: each prompt's in the job. ended: whose search has. prompts: of the whole job.
    """

    places: dict[str, int]
    ended: frozenset[str]
    prompts: int


def pool(session: Session, claim: Claim) -> Pool:
    """The group of a claim as it is stored now."""
    rows = session.execute(
        select(PromptRow.prompt_id, PromptRow.index, PromptRow.status)
        .where(PromptRow.group_id == claim.group_id)
        .order_by(PromptRow.index)
    ).all()
    prompts = session.scalar(select(JobRow.prompt_count).where(JobRow.id == claim.job_id))
    return Pool(
        {prompt_id: place for prompt_id, place, _ in rows},
        frozenset(row.prompt_id for row in rows if row.status in ENDED),
        prompts or len(rows),
    )


def _messages(item: PromptItem) -> list[dict[str, str]]:
    if item.messages is None:
        return [{"role": "user", "content": item.prompt or ""}]
    return [{"role": message.role, "content": message.content} for message in item.messages]
