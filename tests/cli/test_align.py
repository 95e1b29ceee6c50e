"""``prelogit align``: the library behind a command, without a service."""

from __future__ import annotations

import json

from tests.cli.conftest import Run

REWARD = ("--reward", "tests.tiny:vowels")


def test_prompts_are_aligned_in_this_process(bare: Run, model_folder: str) -> None:
    arguments = (
        "align", "-p", "a", "-p", "b", "--model", model_folder, *REWARD, "--n", "4",
        "--iterations", "1", "--max-new-tokens", "4", "--baseline", "bon:gaussian",
    )  # fmt: skip
    done = bare(*arguments, "--json")
    assert done.code == 0, done.err
    assert [result["prompt_id"] for result in done.json] == ["p1", "p2"]
    assert {result["samples"] for result in done.json} == {8}
    assert done.json[0]["baselines"][0]["samples"] == 8
    assert len(done.json[0]["trace"]["iterations"]) == 2
    lines = bare(*arguments, "--format", "jsonl").out.splitlines()
    assert [json.loads(line)["reward"] for line in lines] == [one["reward"] for one in done.json]


def test_sigma2_may_be_the_models_own(bare: Run, model_folder: str) -> None:
    done = bare(
        "align", "-p", "a", "-p", "b", "--model", model_folder, *REWARD, "--n", "4", "--proposal",
        "mean", "--sigma2", "auto", "--iterations", "2", "--max-new-tokens", "4", "--json",
        "--baseline", "bon:gaussian,sigma2=auto",
    )  # fmt: skip
    assert done.code == 0, done.err
    first, second = ([row["sigma2"] for row in one["trace"]["iterations"]] for one in done.json)
    assert first[0] == second[0] > 0
    assert first[0] > first[1] > first[2], "the mean takes a share of it"
    assert done.json[0]["baselines"][0]["noise"] == "gaussian"


def test_the_table_shows_why_a_search_stopped_and_its_other_answers(
    bare: Run, model_folder: str
) -> None:
    done = bare(
        "align", "-p", "a", "--model", model_folder, *REWARD, "--n", "4", "--iterations", "3",
        "--max-new-tokens", "4", "--top-k", "2", "--stop-samples", "9",
    )  # fmt: skip
    assert done.code == 0, done.err
    assert "stopped: samples" in done.out
    assert "2. (" in done.out


def test_a_prompt_that_cannot_be_run_ends_with_1(bare: Run, model_folder: str) -> None:
    done = bare("align", "-p", "a" * 500, "--model", model_folder, *REWARD, "--n", "2")
    assert done.code == 1
    assert "tokens" in done.out


def test_what_is_not_there_is_told(bare: Run, model_folder: str) -> None:
    model = bare("align", "-p", "a", "--model", "/nowhere", *REWARD)
    assert model.code == 1
    assert "/nowhere" in model.err
    reward = bare("align", "-p", "a", "--model", model_folder, "--reward", "relevanze")
    assert reward.code == 2
    assert "did you mean" in reward.err
    keep = bare("align", "-p", "a", "--model", model_folder, *REWARD, "--keep", "some")
    assert keep.code == 2
    assert "keep" in keep.err
