"""``/metrics`` of the gateway: what waits and who works on it, as far as it can be seen."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from prometheus_client.parser import text_string_to_metric_families
from sqlalchemy import event

from api.metrics import surroundings
from tests.api.conftest import Start
from tests.api.running import Running, Valkey, eventually, woken
from tests.api.worker import Worker

Value = Callable[..., float | None]


@pytest.fixture(autouse=True)
def _looked_up_anew(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "FRESH_SECONDS", -1.0)


def scraped(gateway: Running) -> Value:
    """Reads one sample, None where there is none."""
    answer = gateway.get("/metrics")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/plain")
    samples = {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(answer.text)
        for sample in family.samples
    }
    return lambda name, **labels: samples.get((name, tuple(sorted(labels.items()))))


def test_work_and_workers_are_counted_by_model(
    start: Start, own_valkey: Valkey, other_model: str
) -> None:
    gateway = start(redis_url=own_valkey.url, models=(other_model,))
    model = gateway.settings.model
    value = scraped(gateway)
    for one in (model, other_model):
        assert value("prelogit_prompts", model=one, status="queued") == 0
        assert value("prelogit_workers", model=one) == 0
        assert value("prelogit_oldest_waiting_seconds", model=one) == 0
        assert value("prelogit_queue_wakeups", model=one) == 0
    gateway.job({"prompts": ["a", "b"]})
    gateway.job({"prompts": ["a"], "model": other_model})
    eventually(lambda: len(woken(own_valkey.url, model)) == 1)
    eventually(lambda: len(woken(own_valkey.url, other_model)) == 1)
    Worker(gateway.inside.store).beat(model)
    value = scraped(gateway)
    assert value("prelogit_prompts", model=model, status="queued") == 2
    assert value("prelogit_prompts", model=other_model, status="queued") == 1
    assert value("prelogit_jobs", status="queued") == 2
    assert value("prelogit_workers", model=model) == 1
    assert value("prelogit_workers", model=other_model) == 0
    assert value("prelogit_queue_wakeups", model=model) == 1
    assert (value("prelogit_oldest_waiting_seconds", model=model) or 0) > 0
    assert value("prelogit_outbox_unsent") == 0
    assert (value("prelogit_store_up"), value("prelogit_queue_up")) == (1, 1)
    posted = {"method": "POST", "route": "/v1/jobs", "status": "202"}
    assert value("prelogit_gateway_requests_total", **posted) == 2
    assert value("process_resident_memory_bytes")


def test_a_queue_that_is_away_is_said_and_the_rest_is_there(start: Start) -> None:
    gateway = start()
    job = gateway.job()
    gateway.get(f"/v1/jobs/{job['id']}")
    value = scraped(gateway)
    assert value("prelogit_queue_up") == 0
    assert value("prelogit_queue_wakeups", model=gateway.settings.model) is None
    assert value("prelogit_outbox_unsent") == 1
    looked = {"method": "GET", "route": "/v1/jobs/{job_id}", "status": "200"}
    assert value("prelogit_gateway_requests_total", **looked) == 1
    assert job["id"] not in gateway.get("/metrics").text


def test_a_store_that_is_away_is_said_and_the_rest_is_there(start: Start) -> None:
    gateway = start()
    broken = gateway.inside.engine

    @event.listens_for(broken, "before_cursor_execute")
    def away(*_: object) -> None:
        from sqlalchemy.exc import OperationalError

        raise OperationalError("", {}, Exception())

    value = scraped(gateway)
    event.remove(broken, "before_cursor_execute", away)
    assert value("prelogit_store_up") == 0
    assert value("prelogit_outbox_unsent") is None
    assert value("prelogit_gateway_requests_open") == 1
    assert scraped(gateway)("prelogit_store_up") == 1


def test_many_who_ask_cost_one_look(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(surroundings, "FRESH_SECONDS", 3600.0)
    gateway = start()
    model = gateway.settings.model
    assert scraped(gateway)("prelogit_prompts", model=model, status="queued") == 0
    gateway.job()
    assert scraped(gateway)("prelogit_prompts", model=model, status="queued") == 0
    monkeypatch.setattr(surroundings, "FRESH_SECONDS", 0.0)
    assert scraped(gateway)("prelogit_prompts", model=model, status="queued") == 1
