"""Read the prompts of a dataset: a file by its suffix and content, or a stream."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from prelogit.core.errors import InputError
from prelogit.data.delimited import delimited_rows
from prelogit.data.jsonl import jsonl_rows
from prelogit.data.parquet import MAGIC, parquet_rows
from prelogit.data.plain import plain_rows
from prelogit.data.prompt import COLUMNS, prompt_of
from prelogit.data.rows import Row
from prelogit.wire.jobs import PromptItem

_SHOWN = 5  # problems named before the rest is counted
_TEXT = {".jsonl": jsonl_rows, ".ndjson": jsonl_rows, ".json": jsonl_rows, ".txt": plain_rows}
_DELIMITED = {".csv": ",", ".tsv": "\t"}
_KNOWN = ".jsonl, .jsonl.gz, .csv, .tsv, .parquet or .txt"


def read_prompts(path: Path | str) -> list[PromptItem]:
    """All prompts of a JSONL, CSV, TSV, Parquet or text file, in its order.

    Raises: InputError: names the file, the line or row, the column and the cure.
    """
    return list(each_prompt(path))


def each_prompt(path: Path | str) -> Iterator[PromptItem]:
    """The same, one after the other: no more than their ids are held."""
    return _checked(str(path), file_rows(path))


def read_stream(stream: BinaryIO, name: str = "standard input") -> list[PromptItem]:
    """All prompts of a stream: JSONL if its first line begins with a brace, else one a line."""
    return list(each_of_stream(stream, name))


def each_of_stream(stream: BinaryIO, name: str = "standard input") -> Iterator[PromptItem]:
    """The same, one after the other."""
    lines = iter(stream)
    before: list[bytes] = []
    for line in lines:
        before.append(line)
        if line.strip():
            break
    first = before[-1].lstrip(b"\xef\xbb\xbf \t") if before else b""
    rows = jsonl_rows if first.startswith(b"{") else plain_rows
    return _checked(name, rows(chain(before, lines)))


def file_rows(path: Path | str, columns: Sequence[str] = COLUMNS) -> Iterator[Row]:
    """The rows of a file by its suffix; of a Parquet file only these columns are read.

    Raises: InputError: there is no such file, or it is not what its name says.
    """
    try:
        yield from _rows(Path(path).expanduser(), columns)
    except FileNotFoundError as error:
        raise InputError("there is no such file") from error
    except IsADirectoryError as error:
        raise InputError("is a folder: name a file in it") from error
    except PermissionError as error:
        raise InputError("may not be read: check its permissions") from error
    except gzip.BadGzipFile as error:
        raise InputError("is not a gzip file, though its name says so") from error
    except (EOFError, zlib.error) as error:
        raise InputError("is a damaged gzip file, or ends too early: pack it again") from error


def _rows(file: Path, columns: Sequence[str]) -> Iterator[Row]:
    suffix = file.suffix.lower()
    packed = _TEXT.get(Path(file.stem).suffix.lower()) if suffix == ".gz" else None
    with file.open("rb") as stream:
        is_parquet = stream.read(len(MAGIC)) == MAGIC
    if is_parquet != (suffix == ".parquet"):
        raise InputError(
            f"is a Parquet file named {suffix or 'without a suffix'}: rename it to .parquet"
            if is_parquet
            else "is not a Parquet file, though its name says so: rename it after what it holds"
        )
    if is_parquet:
        yield from parquet_rows(file, columns)
    elif suffix in _DELIMITED:
        yield from delimited_rows(file, _DELIMITED[suffix])
    elif packed is not None:
        with gzip.open(file, "rb") as unpacked:
            yield from packed(unpacked)
    elif suffix in _TEXT:
        with file.open("rb") as stream:
            yield from _TEXT[suffix](stream)
    else:
        raise InputError(f"the name must end in {_KNOWN}, so that the format is known")


def collect(name: str, rows: Iterable[Row]) -> list[PromptItem]:
    """The prompts of all rows; ``name`` is what a user calls the file.

    Raises: InputError: the first problems with their places, or there is no prompt.
    """
    return list(_checked(name, rows))


def _checked(name: str, rows: Iterable[Row]) -> Iterator[PromptItem]:
    """What ``collect`` gives, one by one; what is wrong is raised after the last row."""
    problems: list[InputError] = []
    places: dict[str, str] = {}
    empty = True
    try:
        for row in rows:
            try:
                item = prompt_of(row)
                if item.id is not None and item.id in places:
                    raise InputError(
                        f"{row.place}: the id {item.id!r} stands in {places[item.id]} already: "
                        "ids must be unique in a file",
                        field="id",
                    )
            except InputError as error:
                problems.append(error)
                continue
            if item.id is not None:
                places[item.id] = row.place
            empty = False
            if not problems:
                yield item
    except InputError as error:
        problems.append(error)
    if problems:
        told = [f"{name}: {problem}" for problem in problems[:_SHOWN]]
        if len(problems) > _SHOWN:
            told.append(f"and {len(problems) - _SHOWN} more")
        raise InputError("\n".join(told), field=problems[0].field)
    if empty:
        raise InputError(f"{name}: holds no prompt", field="prompts")
