"""The iteration benchmark in a tiny form, part by part."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import iteration, models, prompt_set, static_batches
from prelogit.engine.load import Model
from prelogit.search.together import Together
from prelogit.text import encode
from tests.benchmarks.conftest import Run

SMALL = (
    "--rounds",
    2,
    "--length",
    9,
    "--n",
    8,
    "--tokens",
    5,
    "--batched-tokens",
    5,
    "--batched-n",
    4,
    "--iterations",
    2,
)
FEW = ("--prompts", 4, "--chunks", 2, "--batch", 2, "--answers", 4, "--answer-tokens", 12)


@pytest.fixture
def model(folder: Path) -> Model:
    return models.ours(str(folder), "fp32", rows=8)


def test_table_and_json(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prompt_set, "LONGEST", 60)
    printed, told = run(iteration.main, *SMALL, *FEW, "--static-n", 2, "--static-batch", 3)
    for mark in ("1.02", "1.05", "1.7", "0.05"):
        assert mark in printed
    found = told["overhead"]
    assert found["ratio"]["cpu"] > 0
    assert 0 < found["noise_share"]["wall"] < 1
    assert 0 < found["update_share"]["wall"] < 1
    assert len(found["laps"]["aisp"]) == len(found["laps"]["bon"]) == 2

    found = told["batched"]
    assert set(found["candidates"]) == {"bon", "bon:gaussian", "aisp", "aisp:mean"}
    assert set(found["candidates"].values()) == {4 * 4 * 3}
    assert all(0 < tokens <= 4 * 4 * 3 * 5 for tokens in found["tokens"].values())
    assert [one["baseline"] for one in found["ratios"]] == ["bon", "bon:gaussian", "bon:gaussian"]
    assert all(one["a token"]["wall"] > 0 for one in found["ratios"])

    found = told["static"]
    assert 1 <= found["mean_length"] <= 12
    assert found["rows_static_over_needed"] >= 1
    assert found["ratio"]["cpu"] > 0

    found = told["waiting"]
    assert 0 <= found["idle_share"] < 1
    assert 0 < found["reward_seconds"] <= found["wall_seconds"]


def test_ours_gives_the_same_answers_however_many_prompts_are_open(model: Model) -> None:
    items = prompt_set.unequal(4)
    prompts = {one.id or "": encode(model.tokenizer, one) for one in items}
    lengths = static_batches.flowing(model, prompts, 3, 2, 12, Together(4, 12))
    assert lengths == static_batches.flowing(model, prompts, 3, 2, 12, Together(1, 0))
    assert set(lengths) == {(name, k) for name in prompts for k in (1, 2)}
    assert all(1 <= length <= 12 for found in lengths.values() for length in found)


def test_static_batches_hold_every_row_to_the_longest_answer(model: Model) -> None:
    prompts = {name: [1, 2, 3] for name in "abcd"}
    lengths = {(name, k): [k, 1, 2 * k + i] for i, name in enumerate("abcd") for k in (1, 2)}
    # b = 2: in each batch and iteration the second prompt has the longest answer.
    needed = 3 * 2 * sum(2 * k + i for i in (1, 3) for k in (1, 2))
    assert static_batches.static(model, prompts, 3, 2, 2, lengths) == needed


def test_generated_prompts_are_of_mixed_length_and_the_same_each_time(model: Model) -> None:
    prompts = prompt_set.mixed(40, model.tokenizer)
    assert prompts == prompt_set.mixed(40, model.tokenizer)
    assert len({one.id for one in prompts}) == 40
    counts = [len(encode(model.tokenizer, one)) for one in prompts if (one.id or "")[0] == "m"]
    assert min(counts) >= prompt_set.SHORTEST
    assert max(counts) > 300
    assert counts != sorted(counts)


def test_answers_of_unlike_length_are_asked_for_in_equal_parts() -> None:
    prompts = prompt_set.unequal(36)
    assert len({one.id for one in prompts}) == 36
    brief = [(one.id or "").startswith("s") for one in prompts]
    assert sum(brief) == 18
    assert brief != sorted(brief)
    assert brief[::2] != [True] * 18
