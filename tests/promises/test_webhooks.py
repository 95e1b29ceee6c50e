"""What a job's webhook is to be told is told, however the gateway ends."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import update
from sqlalchemy.orm import Session, sessionmaker

from db import deliveries
from db.models import DeliveryRow
from db.session import make_engine, now, reading, sessions
from prelogit.wire.webhook import Delivery
from tests.api.webhooks.receiver import SECRET, Receiver
from tests.api.worker import Worker
from tests.workers.forked import service
from tests.workers.processes import Child, environment, free_port, until
from tests.workers.stack import post_job

Begin = Callable[[], Child]


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    one = Receiver()
    yield one
    one.stop()


@pytest.fixture
def store(store_url: str) -> Iterator[sessionmaker[Session]]:
    engine = make_engine(store_url)
    yield sessions(engine)
    engine.dispose()


@pytest.fixture
def begin(tmp_path: Path, model_folder: str, store_url: str) -> Iterator[Begin]:
    """Starts gateways as processes, which may post to this machine."""
    (tmp_path / "secret").write_text(SECRET)
    started: list[Child] = []

    def begin() -> Child:
        settings = environment(
            home=tmp_path / "home",
            database_url=store_url,
            redis_url=f"redis://127.0.0.1:{free_port()}/0",
            model=model_folder,
            port=free_port(),
            webhook_urls='["http://127.0.0.1"]',
            webhook_secrets=json.dumps({"main": {"file": str(tmp_path / "secret")}}),
            webhook_timeout_seconds=60,
            outbox_seconds=0.1,
        )
        log = tmp_path / f"gateway-{len(started)}.log"
        started.append(service("api", log, settings))
        started[-1].until_said("Application startup complete")
        return started[-1]

    yield begin
    for child in started:
        child.kill()


def run(store: sessionmaker[Session], model: str, url: str) -> str:
    """A job that a worker has run to its end."""
    job = post_job(store, model, ["Who tells?", "Who hears?"], webhook={"url": url})
    Worker(store).run_all()
    return job.job_id


def delivery(store: sessionmaker[Session], job_id: str) -> Delivery:
    with reading(store) as session:
        ((one,), _) = deliveries.listing(session, job_id, limit=10, cursor=None)
    return one


def test_a_gateway_killed_between_end_and_delivery_leaves_it_to_the_next(
    begin: Begin, store: sessionmaker[Session], model_folder: str, receiver: Receiver
) -> None:
    begin().kill()
    job_id = run(store, model_folder, receiver.url)
    assert receiver.came == []
    begin()
    until(lambda: delivery(store, job_id).status == "delivered", "it has arrived")
    (event,) = receiver.events()
    assert (event["event"], event["job"]["id"]) == ("job.ended", job_id)


def test_a_gateway_killed_while_it_posts_leaves_it_to_the_next(
    begin: Begin, store: sessionmaker[Session], model_folder: str, receiver: Receiver
) -> None:
    receiver.hanging.set()
    gateway = begin()
    job_id = run(store, model_folder, receiver.url)
    until(lambda: receiver.came, "it is being posted")
    gateway.kill()
    assert delivery(store, job_id).status == "waiting"
    receiver.hanging.clear()
    with store.begin() as session:  # as if the lease were over
        leased = DeliveryRow.due_at > now()
        session.execute(
            update(DeliveryRow).where(leased).values(due_at=now() - timedelta(seconds=1))
        )
    begin()
    until(lambda: delivery(store, job_id).status == "delivered", "it has arrived")
    first, second = receiver.events()
    assert first == second
    assert delivery(store, job_id).attempts == 2
