"""One trace from the request to the rounds and the rewards that they asked for."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from sqlalchemy.orm import Session, sessionmaker

from api.settings import Settings
from db.models import GroupRow
from db.session import reading
from prelogit.telemetry import tracing
from reward_service.settings import RewardSettings
from tests.api.running import Running, free_port
from tests.reward_service.conftest import run_service
from tests.workers import moody
from tests.workers.conftest import DeskMaker
from tests.workers.stack import METHOD
from workers.run import run_group

TRACE = "0af7651916cd43dd8448eb211c80319c"
HEADERS = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}


@pytest.fixture
def spans() -> Iterator[InMemorySpanExporter]:
    """Everything that ends while tracing is on."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    tracing.use(provider)
    yield exporter
    tracing.use(None)
    provider.shutdown()


@pytest.fixture
def rewards(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """A reward service in this process, so that its spans are seen too."""
    (tmp_path / "mood").mkdir()
    monkeypatch.setenv(moody.FOLDER, str(tmp_path / "mood"))
    hosted = [{"name": "moody", "kind": "function", "path": "tests.workers.moody:score"}]
    for name in [name for name in os.environ if name.startswith("PRELOGIT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PRELOGIT_REWARDS", json.dumps(hosted))
    with run_service(RewardSettings(_env_file=None)) as service:  # type: ignore[call-arg]
        yield service


@pytest.fixture
def gateway(tmp_path: Path, store_url: str, rewards: Any, model: Any) -> Iterator[Running]:
    settings: dict[str, Any] = {
        "home": tmp_path / "home", "database_url": store_url, "reward_url": rewards.url,
        "redis_url": f"redis://127.0.0.1:{free_port()}/0", "model": model.name,
        "reconcile_seconds": 3600,
    }  # fmt: skip
    running = Running(Settings(_env_file=None, **settings))
    yield running
    running.stop()


def posted(gateway: Running, store: sessionmaker[Session], **headers: str) -> tuple[str, str]:
    """The ids of a job of one group, and of the group."""
    body = {
        "prompts": ["Why?", {"id": "secret", "prompt": "hunter2"}],
        "method": METHOD,
        "reward": {"name": "moody"},
        "max_new_tokens": 8,
    }
    answer = gateway.client.post("/v1/jobs", json=body, headers=headers)
    assert answer.status_code == 202, answer.text
    with reading(store) as session:
        return answer.json()["id"], session.query(GroupRow.id).one()[0]


def by_name(exporter: InMemorySpanExporter) -> dict[str, list[ReadableSpan]]:
    found: dict[str, list[ReadableSpan]] = {}
    for span in exporter.get_finished_spans():
        found.setdefault(span.name, []).append(span)
    return found


def test_a_request_leads_to_its_rounds_and_their_rewards(
    spans: InMemorySpanExporter, gateway: Running, rewards: Any,
    store: sessionmaker[Session], make_desk: DeskMaker,
) -> None:  # fmt: skip
    job_id, group_id = posted(gateway, store, **HEADERS)
    run_group(make_desk(reward_url=rewards.url), group_id)
    gateway.client.get(f"/v1/jobs/{job_id}", headers=HEADERS)
    gateway.client.get("/health/live", headers=HEADERS)
    gateway.client.get("/metrics", headers=HEADERS)
    gateway.stop()
    found = by_name(spans)
    found.pop("GET /v1/rewards", None)  # the gateway looks what there is, in nobody's name
    assert set(found) == {
        "POST /v1/jobs", "GET /v1/jobs/{job_id}", "job accepted", "group", "prompt", "iteration",
        "reward", "POST /v1/score",
    }  # fmt: skip
    assert {f"{span.context.trace_id:032x}" for each in found.values() for span in each} == {TRACE}
    within = {
        "job accepted": "POST /v1/jobs", "group": "job accepted", "prompt": "group",
        "iteration": "prompt", "reward": "iteration", "POST /v1/score": "reward",
    }  # fmt: skip
    for child, parent in within.items():
        parents = {span.context.span_id for span in found[parent]}
        for span in found[child]:
            assert span.parent is not None
            assert span.parent.span_id in parents, child
    (accepted,), (group,) = found["job accepted"], found["group"]
    assert accepted.attributes == {"prelogit.job": job_id}
    assert group.attributes is not None
    assert (group.attributes["prelogit.job"], group.attributes["prelogit.prompts"]) == (job_id, 2)
    ends = {(span.attributes or {})["prelogit.status"] for span in found["prompt"]}
    assert (len(found["prompt"]), ends) == (2, {"succeeded"})
    rounds = sorted(
        ((span.attributes or {})["prelogit.prompt"], (span.attributes or {})["prelogit.iteration"])
        for span in found["iteration"]
    )
    assert rounds == [(prompt, k) for prompt in ("p1", "secret") for k in (1, 2, 3, 4)]
    assert len(found["reward"]) == len(found["POST /v1/score"]) == len(found["iteration"])
    for span in found["iteration"]:
        assert span.start_time is not None
        assert span.end_time is not None
        assert span.start_time < span.end_time
    whole = "".join(span.to_json() for each in found.values() for span in each)
    assert "hunter2" not in whole


def test_the_probe_of_a_reward_is_seen_with_its_calls(
    spans: InMemorySpanExporter, gateway: Running, rewards: Any,
    store: sessionmaker[Session], make_desk: DeskMaker,
) -> None:  # fmt: skip
    _, group_id = posted(gateway, store, **HEADERS)
    run_group(make_desk(reward_url=rewards.url, reward_probe="on"), group_id)
    gateway.stop()
    found = by_name(spans)
    (probe,), (group,) = found["probe"], found["group"]
    assert probe.parent is not None
    assert probe.parent.span_id == group.context.span_id
    within = [span.parent.span_id for span in found["POST /v1/score"] if span.parent is not None]
    assert within.count(probe.context.span_id) == len(within) - len(found["reward"]) > 0


def test_a_retry_goes_on_in_the_trace_of_its_own_request(
    spans: InMemorySpanExporter, gateway: Running, rewards: Any,
    store: sessionmaker[Session], make_desk: DeskMaker, tmp_path: Path,
) -> None:  # fmt: skip
    (tmp_path / "mood" / "nan").write_text("")
    job_id, group_id = posted(gateway, store)
    desk = make_desk(reward_url=rewards.url)
    run_group(desk, group_id)
    failed = by_name(spans)["prompt"]
    assert len(failed) == 2
    assert {span.status.status_code for span in failed} == {StatusCode.ERROR}
    (reward, *_) = by_name(spans)["reward"]
    assert reward.status.description == "RefusedError"
    first = {span.context.trace_id for span in failed}
    (tmp_path / "mood" / "nan").unlink()
    spans.clear()
    answer = gateway.client.post(f"/v1/jobs/{job_id}/retry", headers=HEADERS)
    assert answer.status_code == 202
    run_group(desk, group_id)
    again = {span.context.trace_id for span in by_name(spans)["prompt"]}
    assert again == {int(TRACE, 16)}
    assert first.isdisjoint(again)


def test_what_is_left_unfinished_is_told_and_nothing_stays_open(
    spans: InMemorySpanExporter, gateway: Running, rewards: Any,
    store: sessionmaker[Session], make_desk: DeskMaker, monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    _, group_id = posted(gateway, store)
    desk = make_desk(reward_url=rewards.url)
    iterated = desk.metrics.iterated

    def stop_after_one(row: Any) -> None:
        iterated(row)
        desk.stopping.set()

    monkeypatch.setattr(desk.metrics, "iterated", stop_after_one)
    run_group(desk, group_id)
    found = by_name(spans)
    assert len(found["group"]) == 1
    assert "left" in {(span.attributes or {})["prelogit.status"] for span in found["prompt"]}
    begun = {span.parent.span_id for span in found["reward"] if span.parent is not None}
    assert begun <= {span.context.span_id for span in found["iteration"]}


def test_without_tracing_nothing_is_kept_or_sent(
    gateway: Running, rewards: Any, store: sessionmaker[Session], make_desk: DeskMaker
) -> None:
    _, group_id = posted(gateway, store, **HEADERS)
    with reading(store) as session:
        assert session.query(GroupRow.traceparent).one()[0] is None
    run_group(make_desk(reward_url=rewards.url), group_id)
    assert tracing.traceparent() is None
