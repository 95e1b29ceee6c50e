"""Damaged and hostile files: datasets in every format, value networks, and methods in JSON.

Each is read, or refused by an InputError that names the file.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import given, seed
from hypothesis import strategies as st

from prelogit.core.errors import InputError
from prelogit.data.dataset import read_entries
from prelogit.data.read import read_prompts
from prelogit.evaluation.arms import arms_of_file
from prelogit.value.file import read_value, save_value
from prelogit.value.network import untrained
from tests.promises.bad_input.bodies import joined, written
from tests.promises.bad_input.generated import generated
from tests.promises.bad_input.leaks import TRACES
from tests.promises.bad_input.tally import Tally
from tests.promises.bad_input.wrong import broken_bytes, mutations
from tests.value.made import header

ROWS: list[dict[str, Any]] = [
    {"id": "a", "prompt": "one »quoted«, with a comma"},
    {"messages": [{"role": "user", "content": "two"}]},
    {"chosen": "\n\nHuman: What?\n\nAssistant: That.", "rejected": "\n\nHuman: What?\n\nAssistant: No."},
    {"history": "three", "human_ref_A": "x", "human_ref_B": "y", "labels": 1},
]  # fmt: skip
METHODS: list[dict[str, Any]] = [{"name": "aisp", "n": 4, "lambda": 0.3}, {"name": "bon", "n": 8}]
Reader = Callable[[Path], Any]


def run(folder: Path, *, cases: int, begin: int) -> Tally:
    """So many files in all. ``folder``: where they are written. ``begin``: the seed."""
    tally = Tally("files")
    lines, table = joined(ROWS), _csv()
    value = _value(folder)
    whole: Mapping[str, tuple[st.SearchStrategy[bytes], Reader]] = {
        "a.jsonl": (broken_bytes(lines), _dataset),
        "b.jsonl": (mutations(ROWS).map(lambda one: joined(one.value)), _dataset),
        "a.csv": (broken_bytes(table), _dataset),
        "a.tsv": (broken_bytes(table.replace(b",", b"\t")), _dataset),
        "a.txt": (broken_bytes(lines), _dataset),
        "a.jsonl.gz": (broken_bytes(gzip.compress(lines, mtime=0)), _dataset),
        "a.parquet": (broken_bytes(_parquet(folder)), _dataset),
        "b.parquet": (_tables(folder), _dataset),
        "value.safetensors": (broken_bytes(value), read_value),
        "header.safetensors": (_headers(value), read_value),
        "method.json": (mutations(METHODS).map(lambda one: written(one.value)), arms_of_file),
        "bytes.json": (broken_bytes(written(METHODS)), arms_of_file),
    }
    for name, (contents, read) in whole.items():
        _each(folder / name, contents, read, tally, max(1, cases // len(whole)), begin)
    return tally


def _each(
    path: Path,
    contents: st.SearchStrategy[bytes],
    read: Reader,
    tally: Tally,
    cases: int,
    begin: int,
) -> None:
    @seed(begin)
    @generated(cases)
    @given(contents)
    def one(content: bytes) -> None:
        path.write_bytes(content)
        try:
            read(path)
        except InputError as error:
            tally.case(f"{path.name} refused")
            if path.name not in str(error) or TRACES.search(str(error)):
                tally.breach(
                    f"{path.name}: what is told names no file", f"{content[:80]!r}: {error}"
                )
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            tally.case(f"{path.name} {type(error).__name__}")
            tally.breach(f"{path.name}: {type(error).__name__}", f"{content[:80]!r}: {error!r}")
        else:
            tally.case(f"{path.name} read")

    one()


def _dataset(path: Path) -> None:
    read_prompts(path)
    read_entries(str(path), preprocess="paper")


def _csv() -> bytes:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["id", "prompt", "messages"])
    writer.writerow(["a", "one, two", ""])
    writer.writerow(["b", "", json.dumps([{"role": "user", "content": "x\ny"}])])
    return out.getvalue().encode()


def _parquet(folder: Path) -> bytes:
    path = folder / "whole.parquet"
    pq.write_table(pa.table({"id": [1.0, 2.0], "prompt": ["a", "b"]}), path)
    return path.read_bytes()


def _tables(folder: Path) -> st.SearchStrategy[bytes]:
    """Whole Parquet files whose columns hold what no prompt is."""
    columns = (
        pa.array([1, 2]), pa.array([b"\xff", b"a"]), pa.array([None, None]), pa.array([[], [[1]]]),
        pa.array([{"role": "user"}, {"content": None}]), pa.array([True, False]),
        pa.array([[{"role": "user", "content": "a"}], None]), pa.array([float("nan"), 1e308]),
        pa.array([2**62, -(2**62)], pa.timestamp("us")), pa.array(["a", "a"]).dictionary_encode(),
        pa.StringArray.from_buffers(  # not UTF-8
            2, pa.py_buffer(b"\x00\x00\x00\x00\x01\x00\x00\x00\x02\x00\x00\x00"), pa.py_buffer(b"\xff\xc0")
        ),
    )  # fmt: skip
    names = ("prompt", "messages", "chosen", "history", "id", "human_ref_A")

    def file(chosen: dict[str, pa.Array]) -> bytes:
        path = folder / "made.parquet"
        pq.write_table(pa.table(chosen), path)
        return path.read_bytes()

    return st.dictionaries(
        st.sampled_from(names), st.sampled_from(columns), min_size=1, max_size=3
    ).map(file)


def _value(folder: Path) -> bytes:
    path = folder / "whole.safetensors"
    save_value(path, untrained(6, 8, seed=1), header())
    return path.read_bytes()


def _headers(whole: bytes) -> st.SearchStrategy[bytes]:
    """Value files whose head says other things than it should."""
    size = int.from_bytes(whole[:8], "little")
    head, rest = json.loads(whole[8 : 8 + size]), whole[8 + size :]
    told = json.loads(head["__metadata__"]["prelogit-value"])

    def packed(new: Any) -> bytes:
        text = written(new)
        return len(text).to_bytes(8, "little") + text + rest

    def inside(new: Any) -> bytes:
        kept = {**head, "__metadata__": {**head["__metadata__"], "prelogit-value": json.dumps(new)}}
        return packed(kept)

    sizes = st.sampled_from([0, 1, 2**24, 2**31, 2**63, 2**64 - 1])
    deep = st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000])
    return st.one_of(
        mutations(head).map(lambda one: packed(one.value)),
        mutations(told).map(lambda one: inside(one.value)),
        sizes.map(lambda number: number.to_bytes(8, "little") + whole[8:]),
        deep.map(lambda text: len(text).to_bytes(8, "little") + text),
    )
