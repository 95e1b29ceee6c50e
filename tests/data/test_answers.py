"""Answers of two files are matched by prompt, and what cannot be is named."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from prelogit.core.errors import InputError
from prelogit.core.records import Candidate, Result
from prelogit.data.alpaca import alpaca
from prelogit.data.answered import Answered
from prelogit.data.answers import Answer, read_answers
from prelogit.data.pairs import paired
from prelogit.data.preference import preference
from prelogit.data.sft import sft
from prelogit.data.write import write_rows
from prelogit.wire.jobs import PromptItem

TURNS = [{"role": "user", "content": "Why?"}]
ITEM = PromptItem(prompt="Why?")


def candidate(text: str, reward: float) -> Candidate:
    return Candidate(
        iteration=1, sample=0, token_ids=(), text=text, reward=reward, finish_reason="stop"
    )


ANSWERED = Answered(ITEM, "Because.", [candidate("Because.", 1), candidate("No.", 0)], "me")


def lines(path: Path, *rows: Any) -> Path:
    path.write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return path


def test_results_are_read_with_their_ids(tmp_path: Path) -> None:
    file = tmp_path / "results.jsonl"
    results = [
        Result(prompt_id="a", response="Because."),
        Result(prompt_id="b", response=""),
        Result(prompt_id="c", status="failed", error="too long"),
    ]
    file.write_text("".join(one.model_dump_json() + "\n" for one in results), encoding="utf-8")
    assert read_answers(file) == [
        Answer("a", None, "Because."),
        Answer("b", None, ""),
        Answer("c", None, None),
    ]


@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("form", [sft, alpaca, preference])
def test_every_export_is_read_with_its_prompt(tmp_path: Path, form: Any, suffix: str) -> None:
    file = tmp_path / f"answers.{suffix}"
    write_rows(file, [form(ANSWERED), form(ANSWERED)])
    assert read_answers(file) == [Answer(None, TURNS, "Because.")] * 2


def test_a_raw_preference_is_text(tmp_path: Path) -> None:
    row = preference(ANSWERED._replace(template="none"))
    assert read_answers(lines(tmp_path / "a.jsonl", row)) == [Answer(None, TURNS, "Because.")]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ({"prompt": "only a prompt"}, "line 1: is no answer"),
        ([1], "JSON array"),
        (3, "line 1: must be a JSON object"),
        ({"prompt_id": "a", "response": 3}, "line 1: the answer must be text"),
        ({"messages": [{"role": "user"}, {"role": "x", "content": "y"}]}, "line 1: messages"),
        ({"instruction": "", "output": "x"}, "line 1: no prompt"),
    ],
)
def test_what_is_no_answer_is_told_with_its_place(tmp_path: Path, row: Any, told: str) -> None:
    file = lines(tmp_path / "a.jsonl", row)
    with pytest.raises(InputError, match=told) as error:
        read_answers(file)
    assert str(error.value).startswith(str(file))


def test_an_empty_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").touch()
    with pytest.raises(InputError, match="holds no answer"):
        read_answers(tmp_path / "a.jsonl")


def results(**answers: str | None) -> list[Answer]:
    return [Answer(name, None, answer) for name, answer in answers.items()]


def test_results_pair_by_id_in_the_order_of_the_first() -> None:
    found = paired(
        results(b="B", a="A", c=None, d="D"),
        results(a="a", b="b", c="c", e="e"),
        dict.fromkeys("abcde", TURNS),
    )
    assert [(one.prompt_id, one.left, one.right) for one in found.pairs] == [
        ("b", "B", "b"),
        ("a", "A", "a"),
    ]
    assert [tuple(one) for one in found.missing] == [
        ("c", "has no answer in the first file"),
        ("d", "not in the second file"),
        ("e", "not in the first file"),
    ]


def test_exports_pair_by_their_conversation() -> None:
    other = [{"role": "user", "content": "How " + "very " * 30 + "long?"}]
    found = paired(
        [Answer(None, TURNS, "A"), Answer(None, other, "B")],
        [Answer(None, TURNS, "a")],
    )
    assert [(one.left, one.right, one.turns) for one in found.pairs] == [("A", "a", TURNS)]
    (missing,) = found.missing
    assert missing.prompt_id.startswith("How very")
    assert len(missing.prompt_id) == 60


def test_results_pair_with_an_export_by_the_prompts_of_the_job() -> None:
    found = paired(results(p1="A"), [Answer(None, TURNS, "a")], {"p1": TURNS})
    assert [tuple(one) for one in found.pairs] == [("p1", TURNS, "A", "a")]


def test_results_without_their_prompts_ask_for_them() -> None:
    with pytest.raises(InputError, match="--prompts"):
        paired(results(a="A"), results(a="a"))


def test_a_prompt_that_stands_twice_is_refused() -> None:
    with pytest.raises(InputError, match="'a' stands twice"):
        paired([*results(a="A"), *results(a="B")], results(a="a"), {"a": TURNS})
