"""Datasets out: what training code reads is what the search has found."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prelogit.core.errors import InputError
from prelogit.core.records import Candidate
from prelogit.data.alpaca import alpaca
from prelogit.data.answered import Answered
from prelogit.data.preference import preference
from prelogit.data.read import read_prompts
from prelogit.data.sft import sft
from prelogit.data.write import write_rows
from prelogit.wire.jobs import PromptItem


def candidate(text: str, reward: float, sample: int = 0) -> Candidate:
    return Candidate(
        iteration=1, sample=sample, token_ids=(1,), text=text, reward=reward, finish_reason="stop"
    )


KEPT = (candidate("middle", 0.5), candidate("worst", -1.0), candidate("best", 2.0))
PLAIN = Answered(PromptItem(prompt="Why?"), "best", KEPT, "m+aisp")
TURNS = [
    {"role": "user", "content": "Hi"},
    {"role": "assistant", "content": "Hello"},
    {"role": "user", "content": "Why?"},
]
CHAT = PLAIN._replace(item=PromptItem.model_validate({"messages": TURNS}))


def test_sft_ends_with_the_answer() -> None:
    answer = {"role": "assistant", "content": "best"}
    assert sft(PLAIN) == {"messages": [{"role": "user", "content": "Why?"}, answer]}
    assert sft(CHAT) == {"messages": [*TURNS, answer]}


def test_preference_pairs_the_best_with_the_worst() -> None:
    assert preference(CHAT) == {
        "prompt": TURNS,
        "chosen": [{"role": "assistant", "content": "best"}],
        "rejected": [{"role": "assistant", "content": "worst"}],
        "score_chosen": 2.0,
        "score_rejected": -1.0,
    }
    raw = preference(PLAIN._replace(template="none"))
    assert raw is not None
    assert (raw["prompt"], raw["chosen"], raw["rejected"]) == ("Why?", "best", "worst")


def test_an_answer_that_is_not_the_best_is_the_chosen_one() -> None:
    found = preference(PLAIN._replace(response="middle"))
    assert found is not None
    assert (found["score_chosen"], found["score_rejected"]) == (0.5, -1.0)
    assert preference(PLAIN._replace(response="worst")) is None
    # the answer's text was drawn twice, and scored anew
    again = PLAIN._replace(candidates=(*KEPT, candidate("best", 1.5, 3)))
    assert (preference(again) or {})["score_chosen"] == 2.0


def test_nothing_is_preferred_among_ties_and_equal_texts() -> None:
    tie = (candidate("a", 1.0), candidate("b", 1.0))
    same = (candidate("a", 1.0), candidate("a", 2.0))
    assert preference(PLAIN._replace(candidates=tie)) is None
    assert preference(PLAIN._replace(candidates=same)) is None


def test_one_kept_candidate_gives_no_preference_but_the_cure() -> None:
    with pytest.raises(InputError, match='keep "all"'):
        preference(PLAIN._replace(candidates=KEPT[:1]))


def test_alpaca_has_one_text_for_the_prompt() -> None:
    assert alpaca(PLAIN) == {"instruction": "Why?", "output": "best", "generator": "m+aisp"}
    assert alpaca(CHAT)["instruction"] == "User: Hi\n\nAssistant: Hello\n\nUser: Why?"


ROWS = st.lists(
    st.fixed_dictionaries(
        {
            "prompt": st.text(st.characters(exclude_categories=["Cs"]), max_size=20),
            "score_chosen": st.floats(allow_nan=False, allow_infinity=False),
        }
    ),
    min_size=1,
    max_size=5,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=30)
@given(rows=ROWS)
def test_both_formats_bring_every_row_back(rows: list[dict[str, Any]], tmp_path: Path) -> None:
    assert write_rows(tmp_path / "a.jsonl", rows) == len(rows)
    lines = (tmp_path / "a.jsonl").read_text(encoding="utf-8").removesuffix("\n").split("\n")
    assert [json.loads(line) for line in lines] == rows
    assert write_rows(tmp_path / "a.parquet", iter(rows)) == len(rows)
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == rows


def test_conversations_survive_parquet_in_many_batches(tmp_path: Path) -> None:
    rows = [preference(CHAT)] * 2500
    assert write_rows(tmp_path / "a.parquet", rows) == 2500  # type: ignore[arg-type]
    assert pq.read_table(tmp_path / "a.parquet").to_pylist() == rows


def test_an_exported_preference_file_is_a_dataset_of_prompts_again(tmp_path: Path) -> None:
    write_rows(tmp_path / "a.parquet", [preference(CHAT) or {}])
    assert read_prompts(tmp_path / "a.parquet") == [CHAT.item]


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_text("old")

    def rows() -> Iterator[dict[str, Any]]:
        yield {"a": 1}
        raise InputError("the gateway went away")

    with pytest.raises(InputError, match="went away"):
        write_rows(path, rows())
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("name", ["a.csv", "a", "none/a.jsonl"])
def test_a_name_that_cannot_be_written_is_refused(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"jsonl or \.parquet|name a file in a folder"):
        write_rows(tmp_path / name, [])
