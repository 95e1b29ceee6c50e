"""Putting the prompts of a new job into the store, a piece at a time."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

from sqlalchemy import insert, update
from sqlalchemy.orm import Session
from ulid import ULID

from db.columns import dumped
from db.models import GroupRow, JobRow, PromptRow, WakeupRow
from db.session import now
from prelogit.core.errors import StoreError
from prelogit.wire.jobs import PromptItem

AT_ONCE = 500
CHARACTERS_AT_ONCE = 2**20


class NewPrompts(NamedTuple):
    """The prompts of a job that is to be stored; all that is held of them is their number of tokens.

    tokens: of each, in the job's order. items: begins to read them, in that order and with ids.
    """

    tokens: Sequence[int]
    items: Callable[[], Iterator[PromptItem]]


def insert_prompts(
    session: Session, job_id: str, prompts: NewPrompts, *, group_size: int
) -> list[str]:
    """Stores them, their groups and one wake-up a group; returns the groups' ids.

    Those of one group are alike in length. Raises StoreError when there are more or fewer than
    were counted.
    """
    count = len(prompts.tokens)
    order = sorted(range(count), key=prompts.tokens.__getitem__)
    group_of = array("l", bytes(array("l").itemsize * count))  # of each place
    for rank, place in enumerate(order):
        group_of[place] = rank // group_size
    time = now()
    groups = [f"grp_{ULID()}" for _ in range(0, count, group_size)]
    session.execute(
        insert(GroupRow), [{"id": group, "job_id": job_id, "woken_at": time} for group in groups]
    )
    piece: list[dict[str, Any]] = []
    stored = characters = piece_characters = 0
    for place, item in enumerate(prompts.items()):
        if place >= count or item.id is None:
            break
        told = item.model_dump(mode="json")
        piece.append(
            {
                "job_id": job_id,
                "prompt_id": item.id,
                "index": place,
                "group_id": groups[group_of[place]],
                "status": "queued",
                "prompt_tokens": prompts.tokens[place],
                "item": told,
            }
        )
        piece_characters += len(dumped(told))
        if len(piece) == AT_ONCE or piece_characters > CHARACTERS_AT_ONCE or place + 1 == count:
            session.execute(insert(PromptRow), piece)
            stored, characters = stored + len(piece), characters + piece_characters
            piece, piece_characters = [], 0
    if stored != count:
        raise StoreError("the prompts are not those that were counted: send the job again")
    session.execute(
        update(JobRow)
        .where(JobRow.id == job_id)
        .values(request_bytes=JobRow.request_bytes + characters),
        execution_options={"synchronize_session": False},
    )
    session.execute(insert(WakeupRow), [{"group_id": group} for group in groups])
    return groups
