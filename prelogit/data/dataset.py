"""The entries of a dataset: a local file, or the files of a Hugging Face dataset's split."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

from prelogit.core.errors import InputError
from prelogit.data.entry import COLUMNS, Entry, Preprocess, as_in_the_paper, reference_of
from prelogit.data.hub import hub_files, is_hub_id
from prelogit.data.prompt import COLUMNS as PROMPT_COLUMNS
from prelogit.data.read import collect, file_rows
from prelogit.data.rows import Row
from prelogit.wire.jobs import PromptItem


def read_entries(
    source: str,
    *,
    preprocess: Preprocess = "none",
    split: str = "test",
    skip: int = 0,
    limit: int | None = None,
) -> list[Entry]:
    """Prompts with ids, in the order of the file.

    A prompt without an id is named by its place, counted from 1 (``p1``), before ``skip`` and
    ``limit`` choose. SHP repeats a question for each pair of its answers: the first stays.
    Args:    source: a file's path, or ``OWNER/NAME[/FOLDER]`` on the Hugging Face hub.
             split: which files of a hub dataset are read; of a local file all is read.
    Raises:  InputError: names the file, the row, the column and the cure.
    """
    files = hub_files(source, split) if is_hub_id(source) else [Path(source)]
    references: list[str | None] = []
    rows = _unlike(chain.from_iterable(file_rows(f, (*PROMPT_COLUMNS, *COLUMNS)) for f in files))

    def prepared() -> Iterator[Row]:
        for row in rows:
            references.append(reference_of(row.value))
            yield as_in_the_paper(row) if preprocess == "paper" else row

    items = _named(collect(source, prepared()))
    entries = [Entry(item, found) for item, found in zip(items, references, strict=True)]
    chosen = entries[skip:] if limit is None else entries[skip : skip + limit]
    if not chosen:
        raise InputError(
            f"{source}: has {len(entries)} prompts, and {skip} are skipped: skip fewer",
            field="skip",
        )
    return chosen


def _unlike(rows: Iterable[Row]) -> Iterator[Row]:
    """Without later rows of the same ``history``."""
    seen: set[str] = set()
    for row in rows:
        question = row.value.get("history") if isinstance(row.value, dict) else None
        if isinstance(question, str) and question:
            if question in seen:
                continue
            seen.add(question)
        yield row


def _named(items: list[PromptItem]) -> list[PromptItem]:
    taken = {item.id for item in items if item.id is not None}
    named = []
    for place, item in enumerate(items, start=1):
        name = item.id or f"p{place}"
        while item.id is None and name in taken:
            name += "_"
        taken.add(name)
        named.append(item.model_copy(update={"id": name}))
    return named
