"""Parquet, read row by row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from prelogit.core.errors import InputError
from prelogit.data.rows import Row

MAGIC = b"PAR1"


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[Row]:
    """Rows with those of the columns that the file has; the others are not read.

    Raises: InputError: the file is damaged.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    number = 0
    try:
        with pq.ParquetFile(path) as file:
            wanted = [name for name in file.schema_arrow.names if name in columns]
            for batch in file.iter_batches(batch_size=1024, columns=wanted):
                for value in batch.to_pylist():
                    number += 1
                    yield Row(f"row {number}", value)
    except (pa.ArrowException, OSError, UnicodeDecodeError, OverflowError) as error:
        if isinstance(error, OSError) and error.errno is not None:
            raise  # it could not be opened
        raise InputError(
            f"row {number + 1} or later: the Parquet file is damaged, or holds text that is not UTF-8 or "
            "a date that no calendar has: write it again"
        ) from error
