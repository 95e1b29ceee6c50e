"""Server-sent events: complete, in order, resumable, ending with the job."""

from __future__ import annotations

import json
import threading
from typing import Any, NamedTuple

import pytest

from tests.api.conftest import Start
from tests.api.running import Running, eventually
from tests.api.worker import Worker


class Seen(NamedTuple):
    id: int
    event: str
    data: dict[str, Any]


def parse(text: str) -> list[Seen]:
    found = []
    for block in text.split("\n\n"):
        fields = dict(line.split(": ", 1) for line in block.splitlines() if line[:1] != ":")
        if "id" in fields:
            found.append(Seen(int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def ended_job(gateway: Running) -> dict[str, Any]:
    job = gateway.job({"prompts": ["a", "b"]})
    Worker(gateway.inside.store).run_all()
    return job


def test_an_ended_job_tells_its_whole_story_and_ends(gateway: Running) -> None:
    answer = gateway.get(ended_job(gateway)["links"]["events"])
    assert answer.headers["content-type"].startswith("text/event-stream")
    seen = parse(answer.text)
    assert [event.id for event in seen] == list(range(1, len(seen) + 1))
    assert {event.event for event in seen} == {"job", "iteration", "result"}
    assert seen[-1].event == "job"
    assert seen[-1].data["status"] == "succeeded"
    assert {e.data["prompt_id"] for e in seen if e.event == "result"} == {"p1", "p2"}


@pytest.mark.parametrize("cut", [1, 3])
def test_a_client_that_was_cut_off_misses_nothing(gateway: Running, cut: int) -> None:
    events = ended_job(gateway)["links"]["events"]
    whole = parse(gateway.get(events).text)
    last = whole[cut - 1].id
    rest = gateway.client.get(events, headers={"Last-Event-ID": str(last)})
    assert parse(rest.text) == whole[cut:]


def test_a_client_that_is_cut_off_again_and_again_while_the_job_runs_misses_nothing(
    gateway: Running,
) -> None:
    worker = Worker(gateway.inside.store)
    events = gateway.job()["links"]["events"]
    (claim,) = worker.claim_all()
    seen: list[int] = []
    for k in range(1, 6):
        worker.iterate(claim, "p1", k)
        if k == 5:
            worker.finish(claim, "p1")
        last = {"Last-Event-ID": str(seen[-1])} if seen else {}
        with gateway.client.stream("GET", events, headers=last) as answer:
            for line in answer.iter_lines():
                if line.startswith("id: "):
                    seen.append(int(line.removeprefix("id: ")))
                    break  # the connection ends here, with whatever was on its way
    rest = gateway.client.get(events, headers={"Last-Event-ID": str(seen[-1])})
    seen += [event.id for event in parse(rest.text)]
    whole = parse(gateway.get(events).text)
    assert seen == [event.id for event in whole] == list(range(1, len(whole) + 1))


def test_who_has_seen_all_is_told_not_to_come_back(gateway: Running) -> None:
    events = ended_job(gateway)["links"]["events"]
    last = parse(gateway.get(events).text)[-1].id
    answer = gateway.client.get(events, headers={"Last-Event-ID": str(last)})
    assert answer.status_code == 204


@pytest.mark.parametrize("last", ["x", "-1", "1.5", str(2**63)])
def test_a_last_event_that_is_none_is_refused(gateway: Running, last: str) -> None:
    answer = gateway.client.get(gateway.job()["links"]["events"], headers={"Last-Event-ID": last})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["last-event-id"]


def test_events_come_while_the_job_runs(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job()
    seen: list[str] = []

    def follow() -> None:
        with gateway.client.stream("GET", job["links"]["events"]) as answer:
            for line in answer.iter_lines():
                if line.startswith("event: "):
                    seen.append(line.removeprefix("event: "))

    follower = threading.Thread(target=follow)
    follower.start()
    (claim,) = worker.claim_all()
    eventually(lambda: "job" in seen)
    worker.iterate(claim, "p1", 1)
    eventually(lambda: seen[-1] == "iteration")
    worker.iterate(claim, "p1", 2)
    eventually(lambda: seen[-2:] == ["iteration", "iteration"])
    worker.finish(claim, "p1")
    follower.join()
    assert seen[-2:] == ["result", "job"]


def test_a_quiet_stream_shows_that_it_lives(start: Start) -> None:
    gateway = start(heartbeat_seconds=0.05)
    job = gateway.job()
    with gateway.client.stream("GET", job["links"]["events"]) as answer:
        for line in answer.iter_lines():
            if line.startswith(":"):
                break
    gateway.client.post(f"{job['links']['self']}/cancel")


def test_more_events_than_a_page(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job()
    (claim,) = worker.claim_all()
    for k in range(1, 251):
        worker.iterate(claim, "p1", k)
    worker.finish(claim, "p1")
    seen = parse(gateway.get(job["links"]["events"]).text)
    assert [event.id for event in seen] == list(range(1, len(seen) + 1))
    assert [event.event for event in seen].count("iteration") == 250
