"""A job's budget from the command line: posted, and spent in this process."""

from __future__ import annotations

import json

from prelogit.wire.params import AISP
from tests.cli.conftest import Run
from tests.client.gateway import Gateway

PROMPTS = ("-p", "a", "-p", "b")


def test_a_budget_is_posted_and_leaves_the_rounds_to_the_gateway(
    run: Run, gateway: Gateway
) -> None:
    arguments = ("submit", *PROMPTS, "--n", "4", "--budget-samples", "64", "--json")
    request = run(*arguments).json["request"]
    assert request["budget"] == {"samples": 64}
    assert (request["method"]["n"], request["method"]["iterations"]) == (4, 11)
    given = run(*arguments, "--iterations", "9").json["request"]
    assert given["method"]["iterations"] == 9
    assert run("submit", *PROMPTS, "--json").json["request"]["budget"] is None


def test_a_method_object_says_what_was_said_and_no_more(gateway: Gateway) -> None:
    from prelogit import Client

    with Client(gateway.url) as client:
        job = client.submit(["a", "b"], method=AISP(n=4), budget={"samples": 64}).job
        assert job.request["method"]["iterations"] == 11
        other = client.submit(["a"], method=AISP.paper(n=4)).job
        assert other.request["method"] == AISP.paper(n=4).model_dump(mode="json")


def test_a_budget_that_is_none_is_refused_with_the_cure(run: Run, gateway: Gateway) -> None:
    few = run("submit", *PROMPTS, "--budget-samples", "31")
    assert few.code == 1
    assert "budget: samples is 31" in few.err
    assert "32 or more" in few.err
    bon = run("submit", *PROMPTS, "--method", "bon", "--budget-samples", "99")
    assert bon.code == 1
    assert "bon has one round" in bon.err


def test_align_spends_it(bare: Run, model_folder: str) -> None:
    arguments = (
        "align", *PROMPTS, "-p", "What?", "--model", model_folder, "--reward", "tests.tiny:vowels",
        "--n", "4", "--max-new-tokens", "6",
    )  # fmt: skip
    done = bare(*arguments, "--budget-samples", "96", "--json")
    assert done.code == 0, done.err
    assert sum(result["samples"] for result in done.json) == 96
    assert any(result["stopped"] == "budget" for result in done.json)
    few = bare(*arguments, "--budget-samples", "11")
    assert few.code == 2
    assert "one round of 4 for each of 3" in few.err
    assert "budget" in json.dumps(few.err)
