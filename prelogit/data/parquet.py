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
    except pa.ArrowException as error:
        raise InputError(f"row {number + 1}: the Parquet file is damaged") from error
