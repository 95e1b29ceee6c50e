"""One entry of a dataset for evaluation: a prompt, and an answer of the dataset's own where it has one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, NamedTuple

from prelogit.core.errors import InputError
from prelogit.data.rows import Row
from prelogit.data.transcript import before_last_answer, messages_of, transcript_of
from prelogit.wire.jobs import PromptItem

Preprocess = Literal["none", "paper"]

# What is read beside the columns of a prompt.
COLUMNS = ("reference", "rejected", "human_ref_A", "human_ref_B", "labels")


class Entry(NamedTuple):
    """``item`` has an id; ``reference`` is the answer that the dataset's people preferred."""

    item: PromptItem
    reference: str | None = None


def reference_of(value: Any) -> str | None:
    """The preferred answer, stripped: HH-RLHF's ``chosen``, SHP's of higher score, or ``reference``."""
    if not isinstance(value, Mapping):
        return None
    found: Any = value.get("reference")
    if isinstance(value.get("chosen"), str):
        found = _last_answer(value["chosen"])
    elif "human_ref_A" in value and "human_ref_B" in value:
        # SHP: 1 means that A is preferred.
        found = value["human_ref_A" if value.get("labels") in (1, "1") else "human_ref_B"]
    return found.strip() or None if isinstance(found, str) else None


def as_in_the_paper(row: Row) -> Row:
    """HH-RLHF's transcript as raw text, from its first "Human:" to the last "Assistant:".

    Rows of another kind (SHP's ``history`` too) stay as they are.
    Source: arXiv 2510.26219, appendix C.
    """
    if not isinstance(row.value, Mapping) or not isinstance(row.value.get("chosen"), str):
        return row
    try:
        prompt = transcript_of(before_last_answer(messages_of(row.value["chosen"])))
    except InputError:
        return row  # told with its place when the prompt is read
    others = {name: cell for name, cell in row.value.items() if name != "chosen"}
    return Row(row.place, {**others, "prompt": prompt})


def _last_answer(transcript: str) -> str | None:
    try:
        turns = messages_of(transcript)
    except InputError:
        return None
    return turns[-1]["content"] if turns[-1]["role"] == "assistant" else None
