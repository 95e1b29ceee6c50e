"""CSV and TSV with a header line; a cell may hold line breaks inside quotes."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from pathlib import Path

from prelogit.core.errors import InputError
from prelogit.data.rows import Row


def delimited_rows(path: Path, delimiter: str) -> Iterator[Row]:
    """One mapping of column to text a row; rows without any text are left out.

    Raises: InputError: no header, a row longer than the header, or not UTF-8.
    """
    # A prompt is longer than csv's limit of 131,072 characters where a document is pasted in.
    csv.field_size_limit(min(sys.maxsize, 2**31 - 1))
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.DictReader(file, delimiter=delimiter, strict=True)
        start = 1
        try:
            if not reader.fieldnames:
                raise InputError("the file is empty: its first line must name the columns")
            start = reader.line_num + 1
            for cells in reader:
                place = f"line {start}"
                start = reader.line_num + 1
                if None in cells:
                    raise InputError(
                        f"{place}: has more cells than the header names columns: put quotes around "
                        "text that holds the delimiter"
                    )
                if any(cells.values()):
                    yield Row(place, dict(cells))
        except csv.Error as error:
            raise InputError(f"line {start}: {error}") from error
        except UnicodeDecodeError as error:
            raise InputError(
                f"line {start} or later: is not UTF-8: save the file as UTF-8"
            ) from error
