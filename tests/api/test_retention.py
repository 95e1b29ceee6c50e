"""What has been kept long enough is deleted, by one gateway, bit by bit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

import db.session
from api.retention import Sweeper
from db import retention
from db.models import CandidateRow, EventRow, GroupRow
from tests.api.conftest import Start
from tests.api.running import Running, eventually
from tests.api.worker import Worker

Clock = Callable[[float], None]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """clock(days) moves the retention's clock on, counted from now."""

    def move(days: float) -> None:
        def moved() -> datetime:
            return db.session.now() + timedelta(days=days)

        monkeypatch.setattr("api.retention.now", moved)
        monkeypatch.setattr("db.ownership.now", moved)

    return move


class Quiet(Sweeper):
    """One that does nothing by itself."""

    def start(self) -> None:
        pass

    def stop(self) -> None:
        pass


@pytest.fixture
def gateway(start: Start, monkeypatch: pytest.MonkeyPatch) -> Running:
    """A gateway that leaves the sweeping to its test."""
    monkeypatch.setattr("api.app.Sweeper", Quiet)
    return start()


def sweeper(gateway: Running, **days: Any) -> Sweeper:
    known = {"days": None, "candidates_days": None}
    return Sweeper(gateway.inside.store, **{**known, **days})


def ended(gateway: Running, body: Any = None) -> str:
    job = gateway.job(body)
    worker = Worker(gateway.inside.store)
    with gateway.inside.store() as session:
        groups = session.scalars(select(GroupRow.id).where(GroupRow.job_id == job["id"])).all()
    for group in groups:
        worker.run(worker.claim(group))
    assert gateway.get(f"/v1/jobs/{job['id']}").json()["status"] == "succeeded"
    return str(job["id"])


def there(gateway: Running, job_id: str) -> bool:
    return gateway.get(f"/v1/jobs/{job_id}").status_code == 200


def count(gateway: Running, row: Any, job_id: str) -> int:
    with gateway.inside.store() as session:
        query = select(func.count()).select_from(row).where(row.job_id == job_id)
        return session.scalar(query) or 0


def test_an_ended_job_goes_when_its_time_is_over(gateway: Running, clock: Clock) -> None:
    job_id = ended(gateway)
    running = gateway.job()["id"]
    one = sweeper(gateway, days=30)
    clock(29.9)
    assert one.look() == 0
    job = gateway.get(f"/v1/jobs/{job_id}").json()
    ends, expires = (datetime.fromisoformat(job[name]) for name in ("ended_at", "expires_at"))
    assert expires - ends == timedelta(days=30)
    clock(30.1)
    assert one.look() == 1
    assert not there(gateway, job_id)
    assert there(gateway, running)
    assert gateway.get(f"/v1/jobs/{running}").json()["expires_at"] is None


def test_nothing_goes_unless_it_is_told(gateway: Running, clock: Clock) -> None:
    job_id = ended(gateway)
    clock(100_000)
    assert sweeper(gateway).look() == 0
    assert there(gateway, job_id)
    assert gateway.get(f"/v1/jobs/{job_id}").json()["expires_at"] is None
    assert count(gateway, CandidateRow, job_id) > 0


def test_a_changed_setting_is_shown_in_jobs_that_ended_before(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "JOBS_AT_ONCE", 2)
    ids = [ended(gateway) for _ in range(5)]

    def shown() -> set[float | None]:
        jobs = [gateway.get(f"/v1/jobs/{one}").json() for one in ids]
        dates = [(job["expires_at"], job["ended_at"]) for job in jobs]
        return {
            None
            if expires is None
            else (datetime.fromisoformat(expires) - datetime.fromisoformat(ends)).days
            for expires, ends in dates
        }

    one, other = sweeper(gateway, days=7), sweeper(gateway)
    one.look()
    assert shown() == {7}
    other._owner = one._owner  # the same gateway, started anew
    other.look()
    assert shown() == {None}


def test_a_retried_job_begins_its_time_anew(gateway: Running, clock: Clock) -> None:
    job = gateway.job()
    path = f"/v1/jobs/{job['id']}"
    gateway.client.post(f"{path}/cancel")
    one = sweeper(gateway, days=1)
    one.look()
    assert gateway.get(path).json()["expires_at"] is not None
    assert gateway.client.post(f"{path}/retry").status_code == 202
    assert gateway.get(path).json()["expires_at"] is None
    clock(2)
    assert one.look() == 0
    assert there(gateway, job["id"])


def test_candidates_go_sooner_and_the_answer_stays(gateway: Running, clock: Clock) -> None:
    job_id = ended(gateway, {"prompts": ["a", "b"], "keep": "all"})
    result = gateway.get(f"/v1/jobs/{job_id}/results/p1").json()
    clock(2)
    assert sweeper(gateway, days=30, candidates_days=1).look() == 0
    assert count(gateway, CandidateRow, job_id) == 0
    assert gateway.get(f"/v1/jobs/{job_id}/results/p1/candidates").json() == {"data": []}
    assert gateway.get(f"/v1/jobs/{job_id}/results/p1").json() == result
    assert len(gateway.get(f"/v1/jobs/{job_id}/results/p1/trace").json()["iterations"]) == 1


def test_a_cancelled_prompt_keeps_what_a_retry_goes_on_from(gateway: Running, clock: Clock) -> None:
    job = gateway.job({"prompts": ["a"]})
    worker = Worker(gateway.inside.store)
    claim = worker.claim(worker.groups()[0])
    worker.iterate(claim, "p1", 1)
    gateway.client.post(f"/v1/jobs/{job['id']}/cancel")
    worker.release(claim)
    assert gateway.get(f"/v1/jobs/{job['id']}").json()["status"] == "cancelled"
    clock(2)
    sweeper(gateway, candidates_days=1).look()
    assert count(gateway, CandidateRow, job["id"]) == 1


def test_a_large_job_goes_in_small_transactions(
    gateway: Running, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retention, "PROMPTS_AT_ONCE", 2)
    monkeypatch.setattr(retention, "EVENTS_AT_ONCE", 3)
    job_id = ended(gateway, {"prompts": list("abcde")})
    clock(2)
    before = db.session.now() + timedelta(days=1)
    seen = []
    with gateway.inside.store.begin() as session:
        while retention.thin(session, job_id, before):
            counts = (CandidateRow, EventRow)
            seen.append(
                tuple(
                    session.scalar(
                        select(func.count()).select_from(row).where(row.job_id == job_id)
                    )
                    for row in counts
                )
            )
    assert [candidates for candidates, _ in seen][:3] == [3, 1, 0]
    assert seen[-1] == (0, 0)
    assert sweeper(gateway, days=1).look() == 1
    assert not there(gateway, job_id)


def test_one_gateway_of_several_deletes(gateway: Running, clock: Clock) -> None:
    job_id = ended(gateway)
    clock(2)
    one, other = sweeper(gateway, days=3), sweeper(gateway, days=1)
    one.look()
    assert other.look() == 0
    assert there(gateway, job_id)


def test_the_gateway_does_it_by_itself(start: Start) -> None:
    gateway = start(retention_days=1e-9)
    job = gateway.job()
    gateway.client.post(f"/v1/jobs/{job['id']}/cancel")
    eventually(lambda: not there(gateway, job["id"]), seconds=90)
