"""Datasets for evaluation: SHP and HH-RLHF as the paper reads them, from files and from the hub."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from prelogit.core.errors import InputError
from prelogit.data.dataset import read_entries

SAMPLES = Path(__file__).parent / "samples"
HH, SHP = str(SAMPLES / "hh.jsonl"), str(SAMPLES / "shp.jsonl")


def test_hh_rlhf_is_raw_text_that_waits_for_the_assistant() -> None:
    entries = read_entries(HH, preprocess="paper")
    assert [entry.item.id for entry in entries] == ["p1", "p2", "p3"]
    for entry in entries:
        text = entry.item.prompt
        assert text is not None
        assert text.startswith("Human: ")
        assert text.endswith("\n\nAssistant:")
    assert entries[0].item.prompt == (
        "Human: My basil wilts every summer. What helps?\n\n"
        "Assistant: Is it in a pot or in the ground?\n\n"
        "Human: In a pot on the balcony.\n\nAssistant:"
    )
    assert entries[0].reference == "Water it in the evening, and give it some shade at noon."


def test_hh_rlhf_is_a_conversation_where_the_paper_is_not_asked_for() -> None:
    messages = read_entries(HH)[0].item.messages
    assert messages is not None
    assert [message.role for message in messages] == ["user", "assistant", "user"]


@pytest.mark.parametrize("preprocess", ["none", "paper"])
def test_shp_asks_each_history_once_and_knows_the_preferred_answer(preprocess: str) -> None:
    entries = read_entries(SHP, preprocess=preprocess)  # type: ignore[arg-type]
    assert [entry.item.prompt for entry in entries] == [
        "Why do ships float although steel is heavy?",
        "What keeps bread fresh?",
    ]
    assert [entry.reference for entry in entries] == [
        "A hull holds mostly air, so it weighs less than the water it pushes away.",
        "A box that lets a little air in.",
    ]


@pytest.mark.parametrize("sample", [HH, SHP])
def test_parquet_and_gzip_give_the_same_entries(sample: str, tmp_path: Path) -> None:
    lines = Path(sample).read_text(encoding="utf-8")
    pq.write_table(
        pa.Table.from_pylist([json.loads(line) for line in lines.splitlines()]),
        tmp_path / "a.parquet",
    )
    with gzip.open(tmp_path / "a.jsonl.gz", "wt", encoding="utf-8") as file:
        file.write(lines)
    wanted = read_entries(sample, preprocess="paper")
    assert read_entries(str(tmp_path / "a.parquet"), preprocess="paper") == wanted
    assert read_entries(str(tmp_path / "a.jsonl.gz"), preprocess="paper") == wanted


def test_a_part_keeps_the_names_of_the_whole(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('"one"\n{"id": "p1", "prompt": "two"}\n"three"\n"four"\n', encoding="utf-8")
    part = read_entries(str(path), skip=1, limit=2)
    assert [(entry.item.id, entry.item.prompt) for entry in part] == [
        ("p1", "two"),
        ("p3", "three"),
    ]
    assert read_entries(str(path))[0].item.id == "p1_"
    with pytest.raises(InputError, match="skip fewer"):
        read_entries(str(path), skip=4)


@pytest.mark.parametrize("preprocess", ["none", "paper"])
def test_a_wrong_row_is_named_with_its_column(preprocess: str, tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text('{"chosen": "no transcript"}\n{"question": "?"}\n', encoding="utf-8")
    with pytest.raises(InputError) as caught:
        read_entries(str(path), preprocess=preprocess)  # type: ignore[arg-type]
    assert 'line 1: chosen must begin with "Human:"' in str(caught.value)
    assert "line 2: no prompt: it needs a value in the column prompt" in str(caught.value)


def hub(home: Path, source: str, split: str = "test") -> subprocess.CompletedProcess[str]:
    """Reads a hub dataset in a process that sees this cache alone, offline."""
    code = (
        "import sys\n"
        "from prelogit.core.errors import InputError\n"
        "from prelogit.data.dataset import read_entries\n"
        "try: print(*(e.item.prompt for e in read_entries(sys.argv[1], split=sys.argv[2])), sep='|')\n"
        "except InputError as error: sys.exit(f'{error.field}: {error}')"
    )
    settings = {**os.environ, "HF_HOME": str(home), "HF_HUB_OFFLINE": "1"}
    return subprocess.run(
        [sys.executable, "-c", code, source, split], capture_output=True, text=True, env=settings
    )


def test_a_hub_dataset_is_read_by_split_and_folder_from_the_cache(tmp_path: Path) -> None:
    repository = tmp_path / "hub" / "datasets--somebody--questions"
    files = {
        "cooking/test.jsonl": {"history": "How hot is an oven?"},
        "cooking/train.jsonl": {"history": "not of this split"},
        "physics/test.jsonl": {"history": "Why is the sky blue?"},
    }
    commit = "0" * 40
    for name, row in files.items():
        file = repository / "snapshots" / commit / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit, encoding="utf-8")
    done = hub(tmp_path, "somebody/questions")
    assert done.stdout.strip() == "How hot is an oven?|Why is the sky blue?", done.stderr
    assert hub(tmp_path, "somebody/questions/physics").stdout.strip() == "Why is the sky blue?"
    missing = hub(tmp_path, "somebody/questions", "validation")
    assert missing.returncode == 1
    assert "split: the dataset somebody/questions has no" in missing.stderr


def test_a_hub_that_is_out_of_reach_is_told_with_the_cure(tmp_path: Path) -> None:
    done = hub(tmp_path, "stanfordnlp/SHP")
    assert "cannot be fetched from the Hugging Face hub" in done.stderr
    assert "name a local JSONL or Parquet file" in done.stderr
