"""Looking at jobs, waiting for them, and what their state allows."""

from __future__ import annotations

import threading

import httpx
import pytest

from db.cursor import encode
from tests.api.running import Running
from tests.api.worker import Worker

UNKNOWN = "/v1/jobs/job_01ARZ3NDEKTSV4RRFFQ69G5FAV"


def assert_status(answer: httpx.Response, status: int) -> None:
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.json()["status"] == status


def test_jobs_are_listed_newest_first_a_page_at_a_time(gateway: Running) -> None:
    ids = [gateway.job()["id"] for _ in range(5)][::-1]
    found, cursor = [], None
    for _ in range(3):
        page = gateway.get("/v1/jobs", limit=2, **({"cursor": cursor} if cursor else {})).json()
        found += [job["id"] for job in page["data"]]
        cursor = page["next_cursor"]
    assert found == ids
    assert cursor is None


def test_jobs_are_listed_by_status(gateway: Running) -> None:
    done = gateway.job()
    Worker(gateway.inside.store).run_all()
    waiting = gateway.job()
    for status, job in (("succeeded", done), ("queued", waiting)):
        page = gateway.get("/v1/jobs", status=status).json()
        assert [one["id"] for one in page["data"]] == [job["id"]]
    assert gateway.get("/v1/jobs", status="failed").json()["data"] == []


@pytest.mark.parametrize(
    ("query", "field"),
    [
        ("limit=0", "limit"),
        ("limit=201", "limit"),
        ("limit=x", "limit"),
        ("cursor=nonsense", "cursor"),
        ("cursor=%00", "cursor"),
        ("cursor=WzEsMl0", "cursor"),
        # A moment that is outside of all years in UTC.
        (f"cursor={encode('9999-12-31T23:59:59-23:59', 'x')}", "cursor"),
        ("status=done", "status"),
    ],
)
def test_a_wrong_query_is_named(gateway: Running, query: str, field: str) -> None:
    answer = gateway.get(f"/v1/jobs?{query}")
    assert_status(answer, 422)
    assert [error["field"] for error in answer.json()["errors"]] == [field]


@pytest.mark.parametrize("wait", ["-1", "61", "nan", "inf", "x"])
def test_a_wrong_wait_is_named(gateway: Running, wait: str) -> None:
    answer = gateway.get(gateway.job()["links"]["self"], wait=wait)
    assert_status(answer, 422)
    assert [error["field"] for error in answer.json()["errors"]] == ["wait"]


def test_unknown_jobs_are_a_problem_everywhere(gateway: Running) -> None:
    for base in (UNKNOWN, "/v1/jobs/nonsense", "/v1/jobs/%00", "/v1/jobs/%ff"):
        for tail in ("", "/results", "/results/p1", "/results/p1/trace", "/results/p1/candidates"):
            assert_status(gateway.get(base + tail), 404)
        for tail in ("/results.jsonl", "/events"):
            assert_status(gateway.get(base + tail), 404)
        for tail in ("/cancel", "/retry"):
            assert_status(gateway.client.post(base + tail), 404)
        assert_status(gateway.client.delete(base), 404)
        assert_status(gateway.get(base, wait=30), 404)


def test_waiting_ends_with_the_next_status(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    path = gateway.job()["links"]["self"]
    (claim,) = worker.claim_all()
    seen: list[str] = []

    def follow() -> None:
        # Given up long before the wait is over: only a change of status can answer.
        answer = httpx.get(f"{gateway.client.base_url}{path}?wait=60", timeout=30)
        seen.append(answer.json()["status"])

    follower = threading.Thread(target=follow)
    follower.start()
    # A round of the search is no change of the job's status.
    worker.iterate(claim, "p1", 1)
    assert gateway.get(path, wait=0.2).json()["status"] == "running"
    assert seen == []
    worker.finish(claim, "p1")
    follower.join()
    assert seen == ["succeeded"]


def test_waiting_for_an_ended_job_answers_at_once(gateway: Running) -> None:
    job = gateway.job()
    Worker(gateway.inside.store).run_all()
    with httpx.Client(base_url=gateway.client.base_url, timeout=10) as impatient:
        assert impatient.get(job["links"]["self"], params={"wait": 60}).json()["status"] == (
            "succeeded"
        )


def test_waiting_is_over_when_the_time_is(gateway: Running) -> None:
    assert gateway.get(gateway.job()["links"]["self"], wait=0.3).json()["status"] == "queued"


def test_many_that_wait_hold_up_nobody(gateway: Running) -> None:
    path = gateway.job()["links"]["self"]
    answers: list[int] = []

    def hold() -> None:
        with httpx.Client(base_url=gateway.client.base_url, timeout=60) as client:
            answers.append(client.get(path, params={"wait": 60}).status_code)

    # More than there are threads to answer with.
    waiting = [threading.Thread(target=hold) for _ in range(60)]
    for one in waiting:
        one.start()
    assert gateway.get("/v1/jobs").status_code == 200
    assert answers == []
    assert_status(gateway.client.post(f"{path}/cancel"), 202)
    for one in waiting:
        one.join()
    assert answers == [200] * 60


def test_cancelling_a_queued_job_ends_it(gateway: Running) -> None:
    path = gateway.job()["links"]["self"]
    first = gateway.client.post(f"{path}/cancel")
    assert_status(first, 202)
    assert first.json()["status"] == "cancelled"
    again = gateway.client.post(f"{path}/cancel")
    assert_status(again, 200)
    assert again.json() == first.json()


def test_cancelling_a_running_job_waits_for_its_worker(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job({"prompts": ["a", "b"], "method": {"name": "aisp", "batch_size": 1}})
    path = job["links"]["self"]
    worker.claim(worker.groups()[0])
    answer = gateway.client.post(f"{path}/cancel")
    assert_status(answer, 202)
    assert answer.json()["status"] == "cancelling"
    assert answer.json()["counts"]["cancelled"] == 1
    assert_status(gateway.client.post(f"{path}/cancel"), 200)


def test_an_ended_job_is_not_cancelled(gateway: Running) -> None:
    path = gateway.job()["links"]["self"]
    Worker(gateway.inside.store).run_all()
    answer = gateway.client.post(f"{path}/cancel")
    assert_status(answer, 200)
    assert answer.json()["status"] == "succeeded"


def test_retry_runs_what_failed_and_leaves_the_rest(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    path = gateway.job({"prompts": ["a", "b"]})["links"]["self"]
    (claim,) = worker.claim_all()
    worker.finish(claim, "p1")
    worker.fail(claim, "p2")
    partial = gateway.get(path).json()
    assert partial["status"] == "partial"
    assert "NaN" in str(partial["error"])
    answer = gateway.client.post(f"{path}/retry")
    assert_status(answer, 202)
    assert answer.json()["status"] == "queued"
    assert answer.json()["counts"] | {"total": 2} == answer.json()["counts"]
    assert answer.json()["counts"]["queued"] == answer.json()["counts"]["succeeded"] == 1
    claim = worker.claim(worker.groups()[-1])
    assert [prompt.prompt_id for prompt in claim.prompts] == ["p2"]
    worker.run(claim)
    assert gateway.get(path).json()["status"] == "succeeded"


def test_a_running_job_is_not_retried(gateway: Running) -> None:
    path = gateway.job()["links"]["self"]
    assert_status(gateway.client.post(f"{path}/retry"), 409)


def test_a_succeeded_job_has_nothing_to_retry(gateway: Running) -> None:
    path = gateway.job()["links"]["self"]
    Worker(gateway.inside.store).run_all()
    answer = gateway.client.post(f"{path}/retry")
    assert_status(answer, 200)
    assert answer.json()["status"] == "succeeded"


def test_only_ended_jobs_are_deleted(gateway: Running) -> None:
    path = gateway.job()["links"]["self"]
    assert_status(gateway.client.delete(path), 409)
    gateway.client.post(f"{path}/cancel")
    answer = gateway.client.delete(path)
    assert_status(answer, 204)
    assert answer.content == b""
    assert_status(gateway.get(path), 404)
    assert_status(gateway.client.delete(path), 404)
