"""Datasets in: every format, and every way in which a file can be wrong."""

from __future__ import annotations

import csv
import gzip
import io
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prelogit.core.errors import InputError
from prelogit.data.read import read_prompts, read_stream
from prelogit.wire.jobs import PromptItem

TEXT = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), min_size=1, max_size=40
)
NAMES = st.from_regex(r"\A[^\x00-\x1f/\\?#\ud800-\udfff]{1,20}\Z")
PROMPTS = st.lists(
    st.tuples(NAMES, TEXT), min_size=1, max_size=8, unique_by=lambda pair: pair[0]
).map(lambda pairs: [PromptItem(id=name, prompt=text) for name, text in pairs])
IN_FOLDER = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=40)


def write(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def parquet(table: pa.Table) -> bytes:
    out = io.BytesIO()
    pq.write_table(table, out)
    return out.getvalue()


def not_unicode() -> bytes:
    offsets = b"\x00\x00\x00\x00\x01\x00\x00\x00"
    column = pa.StringArray.from_buffers(1, pa.py_buffer(offsets), pa.py_buffer(b"\xff"))
    return parquet(pa.table({"prompt": column}))


def no_date() -> bytes:
    return parquet(pa.table({"prompt": pa.array([2**62], pa.timestamp("us"))}))


def whole_parquet(*, cut: int) -> bytes:
    """With bytes in the middle taken out."""
    whole = parquet(pa.table({"prompt": ["a" * 500, "b" * 400]}))
    return whole[: len(whole) // 2 - cut] + whole[len(whole) // 2 :]


_PACKED = gzip.compress(b'{"prompt": "a"}' * 20, mtime=0)
DAMAGED = _PACKED[:12] + b"\xff\xff\xff" + _PACKED[15:]


def refused(path: Path) -> str:
    with pytest.raises(InputError) as caught:
        read_prompts(path)
    return str(caught.value)


@IN_FOLDER
@given(items=PROMPTS, ascii_only=st.booleans(), crlf=st.booleans(), bom=st.booleans())
def test_jsonl_brings_back_any_prompt(
    items: list[PromptItem], ascii_only: bool, crlf: bool, bom: bool, tmp_path: Path
) -> None:
    end = "\r\n" if crlf else "\n"
    lines = [
        json.dumps(item.model_dump(exclude_none=True), ensure_ascii=ascii_only) for item in items
    ]
    text = ("\ufeff" if bom else "") + end.join(lines) + end + end
    assert read_prompts(write(tmp_path / "a.jsonl", text)) == items
    assert read_stream(io.BytesIO(text.encode())) == items


@IN_FOLDER
@given(items=PROMPTS, bom=st.booleans())
def test_csv_brings_back_any_prompt(items: list[PromptItem], bom: bool, tmp_path: Path) -> None:
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["id", "prompt", "unused"])
    writer.writerows([item.id, item.prompt, ""] for item in items)
    assert read_prompts(write(tmp_path / "a.csv", "\ufeff" * bom + out.getvalue())) == items


@IN_FOLDER
@given(items=PROMPTS)
def test_parquet_brings_back_any_prompt(items: list[PromptItem], tmp_path: Path) -> None:
    path = tmp_path / "a.parquet"
    pq.write_table(
        pa.table({"id": [i.id for i in items], "prompt": [i.prompt for i in items]}), path
    )
    assert read_prompts(path) == items


@IN_FOLDER
@given(items=PROMPTS)
def test_conversations_come_back_from_jsonl_and_parquet(
    items: list[PromptItem], tmp_path: Path
) -> None:
    turns = [
        {
            "id": item.id,
            "messages": [
                {"role": "system", "content": "Be brief."},
                {"role": "user", "content": item.prompt},
            ],
        }
        for item in items
    ]
    expected = [PromptItem.model_validate(turn) for turn in turns]
    lines = "\n".join(json.dumps(turn) for turn in turns)
    assert read_prompts(write(tmp_path / "a.jsonl", lines)) == expected
    pq.write_table(pa.Table.from_pylist(turns), tmp_path / "a.parquet")
    assert read_prompts(tmp_path / "a.parquet") == expected


def test_a_json_string_on_a_line_is_a_prompt(tmp_path: Path) -> None:
    path = write(tmp_path / "a.jsonl", '"one"\n{"prompt": "two", "other": [1]}\n')
    assert [item.prompt for item in read_prompts(path)] == ["one", "two"]


def test_text_files_and_streams_hold_one_prompt_a_line(tmp_path: Path) -> None:
    content = "\ufeffHow are you?\r\n\r\n  \nWas heißt »grün«? \u2028 still this line\n"
    wanted = ["How are you?", "Was heißt »grün«? \u2028 still this line"]
    path = write(tmp_path / "a.txt", content)
    assert [item.prompt for item in read_prompts(path)] == wanted
    assert [item.prompt for item in read_stream(io.BytesIO(content.encode()))] == wanted


def test_hh_rlhf_transcripts_end_before_the_last_answer(tmp_path: Path) -> None:
    transcript = (
        "\n\nHuman: Hi\nthere\n\nAssistant: Hello.\n\nHuman: Why: is it so?\n\nAssistant: Because."
    )
    row = {"chosen": transcript, "rejected": transcript.replace("Because", "No")}
    path = write(tmp_path / "hh.jsonl", json.dumps(row))
    messages = read_prompts(path)[0].messages
    assert messages is not None
    assert [(m.role, m.content) for m in messages] == [
        ("user", "Hi\nthere"),
        ("assistant", "Hello."),
        ("user", "Why: is it so?"),
    ]


def test_chosen_may_be_a_list_of_messages(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": "Hello"}]
    path = write(tmp_path / "a.jsonl", json.dumps({"chosen": turns, "rejected": turns}))
    messages = read_prompts(path)[0].messages
    assert messages is not None
    assert [m.content for m in messages] == ["Hi"]


def test_shp_rows_give_their_history(tmp_path: Path) -> None:
    rows = [{"post_id": "x", "history": "My cat sings.", "human_ref_A": "So?", "labels": 1}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "shp.parquet")
    assert read_prompts(tmp_path / "shp.parquet") == [PromptItem(prompt="My cat sings.")]


def test_missing_cells_and_numeric_ids_of_data_frames(tmp_path: Path) -> None:
    table = pa.table({"id": [1.0, float("nan")], "prompt": ["a", "b"], "history": [None, "no"]})
    pq.write_table(table, tmp_path / "a.parquet")
    assert read_prompts(tmp_path / "a.parquet") == [
        PromptItem(id="1", prompt="a"),
        PromptItem(prompt="b"),
    ]


def test_csv_cells_hold_line_breaks_and_messages_as_json(tmp_path: Path) -> None:
    messages = json.dumps([{"role": "user", "content": "a\nb"}]).replace('"', '""')
    path = write(tmp_path / "a.csv", f'prompt,messages\r\n"x\ny",\r\n,"{messages}"\r\n,\r\n')
    first, second = read_prompts(path)
    assert first.prompt == "x\ny"
    assert second.messages is not None
    assert second.messages[0].content == "a\nb"


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.jsonl", '{"prompt": "a"}\n{"prompt": }\n', "line 2: is not JSON"),
        ("a.jsonl", '\n[{"prompt": "a"}]', "line 2: is a JSON array"),
        ("a.json", '[\n{"prompt": "a"}]', "line 1: is a JSON array"),
        ("a.jsonl", "7\n", "line 1: must be a JSON object"),
        ("a.jsonl", '{"prompt": "a"}\n\n{"text": "b"}', "line 3: no prompt"),
        ("a.jsonl", '{"prompt": NaN}', "line 1: no prompt"),
        ("a.jsonl", '{"prompt": 3}', "line 1: prompt must be text"),
        ("a.jsonl", '{"prompt": "a", "messages": [{}]}', "both prompt and messages"),
        ("a.jsonl", '{"messages": [{"from": "a"}]}', 'message 1 must have "role" and "content"'),
        (
            "a.jsonl",
            '{"messages": [{"role": "user", "content": "a", "name": "x"}]}',
            "message 1 has 'name'",
        ),
        ("a.jsonl", '{"messages": [{"role": "bot", "content": "a"}]}', "line 1: messages.0.role"),
        ("a.jsonl", '{"messages": [{"role": "assistant", "content": "a"}]}', "last message"),
        ("a.jsonl", '{"messages": []}', "line 1: messages"),
        ("a.jsonl", '{"chosen": "What?"}', 'line 1: chosen must begin with "Human:"'),
        ("a.jsonl", '{"chosen": "\\n\\nHuman: What?"}', "line 1: chosen must hold a prompt"),
        ("a.jsonl", '{"id": "x", "prompt": "a"}\n{"id": "x", "prompt": "b"}', "in line 1 already"),
        ("a.jsonl", '{"id": "a/b", "prompt": "a"}', "line 1: id must have 1 to 200 characters"),
        ("a.jsonl", '{"id": true, "prompt": "a"}', "line 1: id must be text"),
        ("a.jsonl", '{"prompt": "\\ud800"}', "half of a surrogate pair"),
        ("a.jsonl", b'{"prompt": "a"}\n{"prompt": "\xe9"}', "line 2: byte 13 is not UTF-8"),
        ("a.jsonl", '{"prompt": "a"}'.encode("utf-16"), "UTF-16"),
        ("a.jsonl", '{"prompt": ' * 100_000, "line 1: is nested too deep"),
        ("a.jsonl", json.dumps({"messages": "[" * 100_000}), "must be a JSON list of messages"),
        (
            "a.jsonl.gz",
            gzip.compress(b'{"prompt": "a"}', mtime=0)[:-9],
            "damaged gzip file, or ends too early",
        ),
        ("a.jsonl.gz", DAMAGED, "damaged gzip file"),
        ("a.parquet", not_unicode(), "row 1 or later: the Parquet file is damaged, or holds text"),
        ("a.parquet", no_date(), "a date that no calendar has"),
        ("a.parquet", whole_parquet(cut=200), "the Parquet file is damaged"),
        ("a.jsonl", "\n \n", "holds no prompt"),
        ("a.txt", "", "holds no prompt"),
        ("a.csv", "", "first line must name the columns"),
        ("a.csv", "prompt\na,b\n", "line 2: has more cells"),
        ("a.csv", "text\na\n", "line 2: no prompt"),
        ("a.csv", b"prompt\na\n\xff\n", "not UTF-8"),
        ("a.csv", 'prompt\n"a"b\n', "line 2"),
        ("a.parquet", "hello", "is not a Parquet file"),
        ("a.parquet", b"PAR1 and no more", "damaged"),
        ("a.csv", b"PAR1", "rename it to .parquet"),
        ("a.xlsx", "a", "the name must end in"),
    ],
)
def test_what_is_wrong_is_told_with_its_place(
    name: str, content: str | bytes, told: str, tmp_path: Path
) -> None:
    message = refused(write(tmp_path / name, content))
    assert told in message
    assert str(tmp_path / name) in message


def test_several_problems_are_told_at_once(tmp_path: Path) -> None:
    message = refused(write(tmp_path / "a.jsonl", '{"prompt": "ok"}\n' + "{}\n" * 9))
    assert "line 2" in message
    assert "line 6" in message
    assert "and 4 more" in message


def test_files_that_are_not_there(tmp_path: Path) -> None:
    assert "there is no such file" in refused(tmp_path / "none.jsonl")
    folder = tmp_path / "folder.jsonl"
    folder.mkdir()
    assert "is a folder" in refused(folder)
