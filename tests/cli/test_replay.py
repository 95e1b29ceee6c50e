"""``prelogit replay`` of answers whose search ended before its last round."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from db import results, trace
from prelogit.core.records import Candidate, Iteration, Result
from prelogit.engine.load import Model, load_model
from prelogit.search.driver import Verdict
from prelogit.solve import Callbacks, PromptJob, solve
from tests import tiny
from tests.cli.conftest import Run
from tests.client.gateway import Gateway

METHOD = {"name": "aisp", "n": 3, "iterations": 4}


@pytest.fixture(scope="module")
def model(model_folder: str) -> Model:
    return load_model(model_folder, device="cpu", dtype="float32")


class Searcher:
    """A worker that searches for real; ``after`` so many rounds it is told ``verdict``."""

    def __init__(self, gateway: Gateway, model: Model, **body: Any) -> None:
        self.store, self.worker, self.model = gateway.worker.store, gateway.worker, model
        posted = {"prompts": ["When?"], "method": METHOD, "max_new_tokens": 8, **body}
        self.job_id = str(gateway.running.job(posted)["id"])
        (self.claim,) = self.worker.claim_all()

    def search(self, verdict: Verdict = "continue", *, after: int = 99) -> None:
        def on_prompt(prompt_id: str, window: int, dim: int) -> None:
            with self.store.begin() as session:
                trace.describe(session, self.claim, prompt_id, window=window, dim=dim)

        def on_iteration(
            prompt_id: str, arm: int, row: Iteration, kept: tuple[Candidate, ...]
        ) -> Verdict:
            with self.store.begin() as session:
                trace.append(session, self.claim, prompt_id, arm, row, kept)
            return verdict if row.k >= after else "continue"

        def on_result(result: Result) -> None:
            with self.store.begin() as session:
                results.finish(session, self.claim, result.prompt_id, result)

        (item,) = self.claim.request.items
        asyncio.run(
            solve(
                self.model,
                [PromptJob("p1", 0, item)],
                self.claim.request,
                tiny.scoring(tiny.vowels),
                Callbacks(on_prompt, on_iteration, on_result),
            )
        )


@pytest.mark.parametrize("why", ["stopped", "cancelled", "left"])
def test_an_answer_is_made_again_though_its_search_ended_early(
    run: Run, gateway: Gateway, model: Model, why: str
) -> None:
    searcher = Searcher(gateway, model, stop={"samples": 7} if why == "stopped" else {})
    if why == "stopped":
        searcher.search()
    else:
        searcher.search("cancel" if why == "cancelled" else "abandon", after=2)
    if why == "left":  # by its worker, before the job was cancelled
        searcher.worker.release(searcher.claim)
        assert run("cancel", searcher.job_id).code == 0
    shown = gateway.running.get(f"/v1/jobs/{searcher.job_id}/results/p1").json()
    assert shown["status"] == ("succeeded" if why == "stopped" else "cancelled")
    assert shown["iterations"] == 2
    again = run("replay", searcher.job_id, "p1", "--device", "cpu", "--dtype", "float32", "--json")
    assert (again.code, again.json["same"]) == (0, True)
    assert again.json["response"] == shown["response"]
    assert again.json["same_weights"] is (None if why == "left" else True)
    if why == "left":
        told = run("replay", searcher.job_id, "p1", "--device", "cpu", "--dtype", "float32").err
        assert "is not known" in told
        assert "are not the job's" not in told


def test_a_prompt_that_never_began_is_told_as_it_stands(
    run: Run, gateway: Gateway, model: Model
) -> None:
    searcher = Searcher(gateway, model)
    waits = run("replay", searcher.job_id, "p1")
    searcher.worker.release(searcher.claim)
    run("cancel", searcher.job_id)
    ended = run("replay", searcher.job_id, "p1")
    assert waits.code == ended.code == 2
    assert "has no answer yet (it is running)" in waits.err
    assert "yet" not in ended.err
    assert f"prelogit retry {searcher.job_id}" in ended.err
