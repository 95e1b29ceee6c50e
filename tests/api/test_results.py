"""Results, traces and candidates, read and streamed."""

from __future__ import annotations

import json
import threading
from typing import Any

from tests.api.running import Running, eventually
from tests.api.worker import Worker


def lines_of(gateway: Running, job: dict[str, Any], **parameters: Any) -> list[dict[str, Any]]:
    answer = gateway.get(f"{job['links']['results']}.jsonl", **parameters)
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    return [json.loads(line) for line in answer.text.splitlines()]


def test_results_come_in_the_order_of_the_prompts(gateway: Running) -> None:
    # Of different lengths, so that they are decoded in another order.
    job = gateway.job({"prompts": ["a b c d e", "a", "a b c"], "method": {"name": "bon", "n": 2}})
    Worker(gateway.inside.store).run_all()
    first = gateway.get(job["links"]["results"], limit=2).json()
    rest = gateway.get(job["links"]["results"], limit=2, cursor=first["next_cursor"]).json()
    assert rest["next_cursor"] is None
    found = [*first["data"], *rest["data"]]
    assert [result["prompt_id"] for result in found] == ["p1", "p2", "p3"]
    assert {result["status"] for result in found} == {"succeeded"}
    assert found[0]["response"] == "the answer to p1"


def test_a_running_prompt_shows_its_best_so_far(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job({"prompts": ["a", "b"]})
    (claim,) = worker.claim_all()
    worker.iterate(claim, "p1", 1)
    result = gateway.get(f"{job['links']['results']}/p1").json()
    assert result["status"] == "running"
    assert result["reward"] == 1.5
    assert gateway.get(f"{job['links']['results']}/p2").json()["reward"] is None


def test_the_trace_has_the_contracts_names(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job({"prompts": [{"id": "ä b", "prompt": "a"}]})
    (claim,) = worker.claim_all()
    worker.describe(claim, "ä b")
    worker.iterate(claim, "ä b", 1)
    trace = gateway.get(job["links"]["trace"].replace("{prompt_id}", "%C3%A4%20b")).json()
    assert trace["prompt_id"] == "ä b"
    assert trace["method"]["name"] == "aisp"
    assert (trace["window"], trace["dim"]) == (4, 8)
    (row,) = trace["iterations"]
    assert row["lambda"] == 0.3
    assert row["rewards"] == [1.0, 1.5]
    assert row["finish"] == ["length", "stop"]


def test_kept_candidates_tell_where_they_come_from(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job()
    (claim,) = worker.claim_all()
    worker.iterate(claim, "p1", 1)
    worker.iterate(claim, "p1", 2)
    answer = gateway.get(f"{job['links']['results']}/p1/candidates").json()
    assert answer["data"] == [
        {
            "iteration": 2,
            "sample": 1,
            "token_ids": [5, 2],
            "text": "answer 2",
            "reward": 2.5,
            "held_out": None,
            "truncated": None,
            "finish_reason": "stop",
        }
    ]


def test_an_unknown_prompt_is_a_problem(gateway: Running) -> None:
    results = gateway.job()["links"]["results"]
    for tail in ("/nobody", "/nobody/trace", "/nobody/candidates", "/%00", "/%ff"):
        answer = gateway.get(results + tail)
        assert answer.status_code == 404
        assert answer.headers["content-type"] == "application/problem+json"


def test_lines_without_following_are_what_is_there(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job({"prompts": ["a", "b", "c"]})
    assert lines_of(gateway, job, follow=False) == []
    (claim,) = worker.claim_all()
    worker.finish(claim, "p3", 2)
    worker.finish(claim, "p1", 0)
    found = lines_of(gateway, job, follow=False)
    assert [line["prompt_id"] for line in found] == ["p1", "p3"]
    assert found[0] == gateway.get(f"{job['links']['results']}/p1").json()


def test_lines_follow_a_running_job_to_its_end(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job({"prompts": ["a", "b", "c"]})
    (claim,) = worker.claim_all()
    worker.finish(claim, "p3", 2)
    seen: list[list[str]] = [[], []]

    def read(into: list[str]) -> None:
        with gateway.client.stream("GET", f"{job['links']['results']}.jsonl") as answer:
            for line in answer.iter_lines():
                into.append(json.loads(line)["prompt_id"])

    readers = [threading.Thread(target=read, args=(one,)) for one in seen]
    for reader in readers:
        reader.start()
    eventually(lambda: seen == [["p3"]] * 2)  # who comes later gets them in the prompts' order
    worker.finish(claim, "p2", 1)
    eventually(lambda: seen == [["p3", "p2"]] * 2)
    worker.fail(claim, "p1")
    for reader in readers:
        reader.join()
    assert seen == [["p3", "p2", "p1"]] * 2


def test_lines_of_a_cancelled_job_have_every_prompt(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job({"prompts": ["a", "b"], "method": {"name": "bon", "batch_size": 1}})
    claim = worker.claim(worker.groups()[0])
    found: list[dict[str, Any]] = []
    reader = threading.Thread(target=lambda: found.extend(lines_of(gateway, job)))
    reader.start()
    gateway.client.post(f"{job['links']['self']}/cancel")
    worker.finish(claim, claim.prompts[0].prompt_id, claim.prompts[0].index)
    reader.join()
    assert sorted((line["prompt_id"], line["status"]) for line in found) == [
        ("p1", "succeeded"),
        ("p2", "cancelled"),
    ]


def test_a_job_that_is_longer_than_a_page_has_all_lines(gateway: Running) -> None:
    job = gateway.job({"prompts": ["a"] * 250, "method": {"name": "bon", "batch_size": 250}})
    gateway.client.post(f"{job['links']['self']}/cancel")
    assert [line["index"] for line in lines_of(gateway, job)] == list(range(250))
