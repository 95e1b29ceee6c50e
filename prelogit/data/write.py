"""Write rows as JSONL or Parquet, whole or not at all."""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import Any

from prelogit.core.errors import InputError

_BATCH = 1000  # rows held in memory


def write_rows(path: Path | str, rows: Iterable[dict[str, Any]]) -> int:
    """Write the rows in the format that the file's name asks for; an old file is replaced.

    Returns: how many rows were written.
    Raises:  InputError: the suffix is unknown or the folder cannot be written to.
    """
    file = Path(path).expanduser()
    write = format_of(file)
    try:
        with _replacing(file) as aside:
            return write(aside, iter(rows))
    except OSError as error:
        reason = error.strerror or "it cannot be written"
        raise InputError(
            f"{path}: {reason}: name a file in a folder that is there and writable"
        ) from error


def format_of(path: Path | str) -> Callable[[Path, Iterator[dict[str, Any]]], int]:
    """The writer for a file's name.

    Raises: InputError: the suffix is unknown.
    """
    writer = {".jsonl": _write_jsonl, ".parquet": _write_parquet}.get(Path(path).suffix.lower())
    if writer is None:
        raise InputError(f"{path}: the name must end in .jsonl or .parquet", field="to")
    return writer


@contextmanager
def _replacing(file: Path) -> Iterator[Path]:
    """A new file beside the old one, which takes its place once it is whole."""
    handle, name = tempfile.mkstemp(prefix=f".{file.name}-", dir=file.parent)
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        mask = os.umask(0)
        os.umask(mask)
        aside.chmod(0o666 & ~mask)  # mkstemp's 600 is for secrets
        aside.replace(file)
    finally:
        aside.unlink(missing_ok=True)


def _write_jsonl(file: Path, rows: Iterator[dict[str, Any]]) -> int:
    count = 0
    with file.open("w", encoding="utf-8", newline="\n") as out:
        for row in rows:
            out.write(json.dumps(row, ensure_ascii=False, allow_nan=False) + "\n")
            count += 1
    return count


def _write_parquet(file: Path, rows: Iterator[dict[str, Any]]) -> int:
    import pyarrow as pa
    import pyarrow.parquet as pq

    first = list(islice(rows, _BATCH))
    table = pa.Table.from_pylist(first)
    count: int = table.num_rows
    with pq.ParquetWriter(file, table.schema) as writer:
        writer.write_table(table)
        while batch := list(islice(rows, _BATCH)):
            writer.write_table(pa.Table.from_pylist(batch, schema=table.schema))
            count += len(batch)
    return count
