"""The prompts of a job as users read them: the first ones with the job, all of them in pages."""

from __future__ import annotations

import json
from typing import Any

from sqlalchemy import Text, select, type_coerce
from sqlalchemy.orm import Session

from db import cursor as cursors
from db.models import PromptRow
from prelogit.wire.jobs import JobPrompt

# A job shows the first of its prompts: at most so many, and so many characters of them.
SHOWN_PROMPTS = 1000
# What a job shows, and a page, ends early rather than carry more than this (characters).
SHOWN_BYTES = 8 * 2**20
_AT_ONCE = 100


def shown(session: Session, job_id: str) -> list[dict[str, Any]]:
    """The first prompts of a job, as they were posted: all of them unless the job is large."""
    found = session.scalars(
        select(type_coerce(PromptRow.item, Text))
        .where(PromptRow.job_id == job_id)
        .order_by(PromptRow.index)
        .limit(SHOWN_PROMPTS),
        execution_options={"yield_per": _AT_ONCE},
    )
    items: list[dict[str, Any]] = []
    size = 0
    with found:
        for text in found:
            size += len(text)
            if items and size > SHOWN_BYTES:
                break
            items.append(json.loads(text))
    return items


def page(
    session: Session, job_id: str, *, limit: int, cursor: str | None
) -> tuple[list[JobPrompt], str | None]:
    """Prompts in their order, and the next cursor; fewer than ``limit`` where they are very long.

    Raises InputError for a cursor that is not one of ours.
    """
    after = -1 if cursor is None else cursors.decode(cursor, int)[0]
    found = session.execute(
        _query(job_id).where(PromptRow.index > after).order_by(PromptRow.index).limit(limit + 1),
        execution_options={"yield_per": _AT_ONCE},
    )
    prompts: list[JobPrompt] = []
    size = 0
    with found:
        for row in found:
            size += len(row.text)
            if len(prompts) == limit or (prompts and size > SHOWN_BYTES):
                return prompts, cursors.encode(prompts[-1].index)
            prompts.append(_read(row))
    return prompts, None


def one(session: Session, job_id: str, prompt_id: str) -> JobPrompt | None:
    """A prompt, or None when there is none with this id."""
    row = session.execute(_query(job_id).where(PromptRow.prompt_id == prompt_id)).one_or_none()
    return None if row is None else _read(row)


def _query(job_id: str) -> Any:
    return select(
        PromptRow.prompt_id,
        PromptRow.index,
        PromptRow.status,
        PromptRow.prompt_tokens,
        type_coerce(PromptRow.item, Text).label("text"),
    ).where(PromptRow.job_id == job_id)


def _read(row: Any) -> JobPrompt:
    return JobPrompt.model_validate(
        {
            "prompt_id": row.prompt_id,
            "index": row.index,
            "status": row.status,
            "prompt_tokens": row.prompt_tokens,
            "item": json.loads(row.text),
        }
    )
