"""Webhooks reach their receivers: signed, again where they must, and none before the others."""

from __future__ import annotations

import json
import math
import re
import socket
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from email.utils import formatdate
from pathlib import Path
from typing import Any

import pytest

from api.metrics import surroundings
from api.webhooks import deliverer
from api.webhooks.deliverer import again_at
from api.webhooks.post import Outcome
from db import outbox
from db.deliveries import Claimed
from db.session import now
from prelogit.webhooks import SignatureError, verify
from tests.api.running import Running, eventually
from tests.api.webhooks.receiver import Receiver
from tests.api.worker import Worker

Posting = Callable[..., Running]


def ended_job(gateway: Running, url: str, **webhook: Any) -> str:
    """A job that a worker has run to its end."""
    job = gateway.job({"prompts": ["a", "b"], "webhook": {"url": url, **webhook}})
    store = gateway.inside.store
    worker = Worker(store)
    with store.begin() as session:
        waiting = outbox.pending(session, 100)
        outbox.sent(session, [row.id for row in waiting])
    for row in waiting:
        worker.run(worker.claim(row.group_id))
    return str(job["id"])


def deliveries(gateway: Running, job_id: str) -> list[dict[str, Any]]:
    answer = gateway.get(f"/v1/jobs/{job_id}/deliveries")
    assert answer.status_code == 200
    return list(answer.json()["data"])


def tried(gateway: Running, job_id: str, attempts: int = 1) -> dict[str, Any]:
    """The job's only delivery once so many attempts at it are over."""

    def over() -> dict[str, Any] | None:
        (one,) = deliveries(gateway, job_id)
        told = one["last_error"] is not None or one["status"] == "delivered"
        return one if one["attempts"] >= attempts and told else None

    return dict(eventually(over))


def moment(told: str) -> datetime:
    return datetime.fromisoformat(told)


def test_the_end_of_a_job_arrives_signed(posting: Posting, receiver: Receiver) -> None:
    gateway = posting()
    job_id = ended_job(gateway, f"{receiver.url}/hook?for=me")
    one = tried(gateway, job_id)
    (event,) = receiver.events()
    assert event["id"] == one["id"]
    assert event["event"] == "job.ended"
    assert event["job"]["id"] == job_id
    assert event["job"]["status"] == "succeeded"
    assert event["job"] == {
        **gateway.get(f"/v1/jobs/{job_id}").json(),
        "request": event["job"]["request"],
        "progress": event["job"]["progress"],
    }
    (came,) = receiver.came
    assert came.path == "/hook?for=me"
    assert came.headers["prelogit-event-id"] == one["id"]
    assert (one["status"], one["attempts"], one["last_status"]) == ("delivered", 1, 204)
    assert one["next_attempt_at"] is None


def test_each_event_arrives_once_from_two_gateways(posting: Posting, receiver: Receiver) -> None:
    one, _ = posting(), posting()
    events = ["job.started", "prompt.ended", "job.ended"]
    jobs = [ended_job(one, receiver.url, events=events) for _ in range(4)]
    for job_id in jobs:
        eventually(lambda job_id=job_id: all(
            d["status"] == "delivered" for d in deliveries(one, job_id)
        ))  # fmt: skip
    ids = [event["id"] for event in receiver.events()]
    assert len(ids) == len(set(ids)) == 12


def test_a_failure_is_told_and_tried_again_with_the_same_event(
    posting: Posting, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliverer, "FIRST_PAUSE_SECONDS", 0.01)
    receiver.status, receiver.answer = 500, b"x" * 5000
    gateway = posting()
    job_id = ended_job(gateway, receiver.url)
    one = tried(gateway, job_id, attempts=3)
    assert one["last_status"] == 500
    assert one["last_error"] == "status 500: the receiver failed, see its own logs"
    receiver.status = 200
    eventually(lambda: deliveries(gateway, job_id)[0]["status"] == "delivered")
    bodies = {came.body for came in receiver.came}
    assert len(bodies) == 1
    assert len(receiver.came) >= 3  # attempts are counted when they begin


@pytest.mark.parametrize("status", [302, 500])
def test_nothing_that_a_receiver_writes_can_be_read_here(
    posting: Posting, receiver: Receiver, caplog: pytest.LogCaptureFixture, status: int
) -> None:
    """Or a URL would show whoever posts a job what only the gateway can reach."""
    receiver.status, receiver.answer = status, b"of-the-body"
    receiver.headers = {"Location": "http://of-the-header/", "X-Other": "of-the-header"}
    gateway = posting()
    job_id = ended_job(gateway, receiver.url)
    assert tried(gateway, job_id)["last_status"] == status
    told = [gateway.get(f"/v1/jobs/{job_id}{part}").text for part in ("", "/deliveries")]
    for text in (*told, caplog.text):
        assert "of-the-" not in text


def test_gone_is_given_up_at_once(posting: Posting, receiver: Receiver) -> None:
    receiver.status = 410
    gateway = posting()
    one = tried(gateway, ended_job(gateway, receiver.url))
    assert (one["status"], one["attempts"], one["last_status"]) == ("given_up", 1, 410)
    assert one["next_attempt_at"] is None


def test_a_redirect_is_not_followed(
    posting: Posting, receiver: Receiver, another: Receiver
) -> None:
    receiver.status, receiver.headers = 302, {"Location": another.url}
    gateway = posting()
    one = tried(gateway, ended_job(gateway, receiver.url))
    assert "redirects are not followed" in one["last_error"]
    assert another.came == []


def test_a_receiver_that_hangs_delays_no_other(
    posting: Posting, receiver: Receiver, another: Receiver
) -> None:
    receiver.hanging.set()
    gateway = posting(webhook_timeout_seconds=300)
    for _ in range(2 * deliverer.A_HOST):
        ended_job(gateway, receiver.url)
    eventually(lambda: len(receiver.came) == deliverer.A_HOST)
    job_id = ended_job(gateway, another.url)
    assert tried(gateway, job_id)["status"] == "delivered"
    assert len(receiver.came) == deliverer.A_HOST


def test_silence_is_a_failure(posting: Posting, receiver: Receiver) -> None:
    receiver.hanging.set()
    gateway = posting(webhook_timeout_seconds=0.2)
    one = tried(gateway, ended_job(gateway, receiver.url))
    assert one["status"] == "waiting"
    assert one["last_status"] is None
    assert "no answer within 0.2 s" in one["last_error"]


def test_what_is_posted_when_the_gateway_stops_is_due_at_once(
    posting: Posting, receiver: Receiver
) -> None:
    receiver.hanging.set()
    gateway = posting(webhook_timeout_seconds=300)
    job_id = ended_job(gateway, receiver.url)
    eventually(lambda: receiver.came)
    gateway.stop()
    receiver.hanging.clear()
    assert tried(posting(), job_id, attempts=2)["status"] == "delivered"
    first, second = receiver.came
    assert first.body == second.body


def test_a_private_address_behind_a_public_name_is_not_connected_to(
    posting: Posting, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the name resolves to is looked at where one connects."""
    port = int(receiver.url.rpartition(":")[2])
    resolve = socket.getaddrinfo

    def rebound(host: Any, *arguments: Any, **options: Any) -> Any:
        if host != "hooks.example.com":
            return resolve(host, *arguments, **options)
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))]

    monkeypatch.setattr(socket, "getaddrinfo", rebound)
    gateway = posting(webhook_urls=("*",))
    one = tried(gateway, ended_job(gateway, f"https://hooks.example.com:{port}/x"))
    assert "private network" in one["last_error"]
    assert one["status"] == "waiting"
    assert receiver.came == []


def test_an_installation_that_allows_no_longer_posts_no_longer(
    posting: Posting, receiver: Receiver
) -> None:
    gateway = posting(outbox_seconds=3600)
    job_id = ended_job(gateway, receiver.url)
    gateway.stop()
    one = tried(posting(webhook_urls=()), job_id)
    assert "PRELOGIT_WEBHOOK_URLS" in one["last_error"]
    assert receiver.came == []


def test_a_new_secret_is_brought_in_beside_the_old_one(
    posting: Posting, receiver: Receiver, secrets: dict[str, Any], tmp_path: Path
) -> None:
    (tmp_path / "new").write_text("another secret, also long".replace(" ", "-"))
    (tmp_path / "own").write_text("of-another-receiver-alone")
    own = {"file": tmp_path / "own", "url": "https://example.com"}
    gateway = posting(webhook_secrets={**secrets, "new": {"file": tmp_path / "new"}, "own": own})
    tried(gateway, ended_job(gateway, receiver.url))
    (came,) = receiver.came
    header = came.headers["prelogit-signature"]
    assert verify(came.body, header, "another-secret,-also-long")["event"] == "job.ended"
    with pytest.raises(SignatureError):
        verify(came.body, header, "of-another-receiver-alone")


def pause(
    attempt: int, *, age_hours: float = 0, chance: float = 0, later: float = 0
) -> float | None:
    """Seconds until an event is tried again that the receiver wants ``later``; None: never."""
    created = now() - timedelta(hours=age_hours)
    one = Claimed("evt_1", attempt, created, "https://example.com", "example.com", b"{}")
    at = again_at(one, Outcome(500, "x", later), hours=24, chance=chance)
    return None if at is None else (at - now()).total_seconds()


def test_pauses_grow_and_end_after_the_given_hours() -> None:
    assert [round(pause(n) or 0) for n in (1, 2, 3, 11, 12, 60)] == [5, 10, 20, 5120, 7200, 7200]
    assert round(pause(3, chance=1) or 0) == 10
    assert pause(20, age_hours=21.9) is not None
    assert pause(20, age_hours=22.1) is None
    tries, hours = 0, 0.0
    while (seconds := pause(tries + 1, age_hours=hours, chance=0.5)) is not None:
        tries, hours = tries + 1, hours + seconds / 3600
    assert hours > 21
    assert 15 < tries < 40


def test_a_longer_pause_that_the_receiver_asks_for_is_kept_within_bounds() -> None:
    assert round(pause(1, later=600) or 0) == 600
    assert round(pause(1, later=600, chance=1) or 0) == 600
    assert round(pause(9, later=1) or 0) == 1280
    assert round(pause(1, later=86_400) or 0) == 7200
    assert round(pause(1, later=math.inf) or 0) == 7200
    assert round(pause(1, later=7200, age_hours=23.5) or 0) == 1800, "once more before the end"
    assert pause(1, later=1, age_hours=24) is None


@pytest.mark.parametrize("seconds", [True, False])
def test_a_receiver_says_when_it_wants_to_be_told(
    posting: Posting, receiver: Receiver, seconds: bool
) -> None:
    later = "3600" if seconds else formatdate(time.time() + 3600, usegmt=True)
    receiver.status, receiver.headers = 503, {"Retry-After": later}
    gateway = posting()
    one = tried(gateway, ended_job(gateway, receiver.url))
    pause = moment(one["next_attempt_at"]) - moment(one["last_attempt_at"])
    assert timedelta(minutes=30) < pause < timedelta(minutes=90)


def test_attempts_are_counted_by_what_came_of_them(
    posting: Posting, receiver: Receiver, another: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(surroundings, "FRESH_SECONDS", -1.0)
    gateway = posting(webhook_timeout_seconds=0.2)

    def told(name: str) -> float:
        return float(re.findall(rf"(?m)^prelogit_webhook_{re.escape(name)} (.+)$", metrics())[0])

    def metrics() -> str:
        return gateway.get("/metrics").text

    outcomes = ("delivered", "refused", "unanswered")
    names = [f'attempts_total{{outcome="{one}"}}' for one in outcomes]
    assert [told(name) for name in [*names, "given_up_total", "waiting"]] == [0] * 5
    tried(gateway, ended_job(gateway, receiver.url))
    receiver.status = 410
    tried(gateway, ended_job(gateway, receiver.url))
    another.hanging.set()
    tried(gateway, ended_job(gateway, another.url))
    eventually(lambda: told(names[2]) == 1)
    assert [told(name) for name in [*names, "given_up_total", "waiting"]] == [1, 1, 1, 1, 1]
    assert told("oldest_waiting_seconds") > 0


def test_an_unknown_job_has_no_deliveries(posting: Posting) -> None:
    answer = posting().get("/v1/jobs/job_none/deliveries")
    assert answer.status_code == 404


def test_the_body_is_json_in_ascii(posting: Posting, receiver: Receiver) -> None:
    gateway = posting()
    worker = Worker(gateway.inside.store)
    gateway.job({"prompts": ["ä"], "metadata": {"ü": "\u2028"}, "webhook": {"url": receiver.url}})
    started = time.time()
    worker.run_all()
    eventually(lambda: receiver.came)
    (came,) = receiver.came
    assert json.loads(came.body.decode("ascii"))["job"]["request"]["metadata"] == {"ü": "\u2028"}
    assert int(came.headers["prelogit-signature"].split(",")[0][2:]) >= int(started) - 1
