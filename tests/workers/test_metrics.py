"""What a worker counts is what it did."""

from __future__ import annotations

import socket
from collections.abc import Callable
from pathlib import Path

import httpx
import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases
from prelogit.engine.load import Model
from prelogit.wire.params import AISP
from tests.workers.conftest import DeskMaker
from tests.workers.forked import service
from tests.workers.processes import environment
from tests.workers.services import Reward
from tests.workers.stack import ended
from tests.workers.test_run import at_most_rows
from workers.metrics import listen
from workers.run import run_group

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]
METHOD = AISP(n=4, iterations=3).model_dump()


def test_rounds_and_ends_are_counted_as_they_are_stored(
    store: Store, post: Post, make_desk: DeskMaker
) -> None:
    job_id, group_id = post(["Why?", "Who?"], method=METHOD)
    desk = make_desk()
    run_group(desk, group_id)
    value = desk.metrics.registry.get_sample_value
    results = ended(store, job_id)
    assert value("prelogit_worker_iterations_total") == sum(one.iterations for one in results)
    assert value("prelogit_worker_candidates_total") == sum(one.samples for one in results)
    tokens = sum(one.generated_tokens for one in results)
    assert value("prelogit_worker_generated_tokens_total") == tokens
    for part in ("decode", "reward", "wait"):
        wanted = sum(getattr(one.seconds, part) for one in results)
        got = value("prelogit_worker_round_seconds_total", {"part": part})
        assert got == pytest.approx(wanted, rel=1e-6)
    assert value("prelogit_worker_prompts_ended_total", {"status": "succeeded"}) == 2
    assert value("prelogit_worker_prompts_ended_total", {"status": "failed"}) == 0
    calls = value("prelogit_worker_reward_seconds_count", {"role": "steering"})
    assert calls == sum(one.iterations for one in results)
    assert value("prelogit_worker_live_rows") == 0
    assert value("prelogit_worker_lease_losses_total") == 0


def test_a_held_out_reward_is_timed_apart(post: Post, make_desk: DeskMaker) -> None:
    _, group_id = post(["Why?"], method=METHOD, held_out={"name": "short"})
    desk = make_desk()
    run_group(desk, group_id)
    value = desk.metrics.registry.get_sample_value
    calls = [value("prelogit_worker_reward_seconds_count", {"role": role})
             for role in ("steering", "held_out")]  # fmt: skip
    assert calls[0] == calls[1]
    assert calls[0]


def test_a_reward_that_fails_and_the_prompts_with_it_are_counted(
    post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    reward.mood.set("nan")
    _, group_id = post(["Why?"], method=METHOD)
    desk = make_desk()
    run_group(desk, group_id)
    value = desk.metrics.registry.get_sample_value
    wrong = {"role": "steering", "kind": "answer"}
    assert value("prelogit_worker_reward_errors_total", wrong) == 1
    assert value("prelogit_worker_prompts_ended_total", {"status": "failed"}) == 1


def test_memory_that_runs_out_is_counted_and_never_uncounted(
    post: Post, make_desk: DeskMaker, model: Model
) -> None:
    desk = make_desk()
    value = desk.metrics.registry.get_sample_value
    before = value("prelogit_worker_memory_halvings_total") or 0
    with at_most_rows(model, 2):
        run_group(desk, post(["Why?"], method=METHOD)[1])
    after = value("prelogit_worker_memory_halvings_total") or 0
    assert after > before
    while model.limit.halved:  # each new engine dares more rows again
        model.engine()
    assert value("prelogit_worker_memory_halvings_total") == after


def test_a_lease_that_is_lost_is_counted(post: Post, make_desk: DeskMaker, store: Store) -> None:
    desk = make_desk()
    _, group_id = post(["Why?", "Who?"], method=METHOD)
    with store.begin() as session:
        claim = leases.claim(session, group_id, owner="one", model=desk.model.name, ttl_seconds=-1)
        assert claim is not None
    with store.begin() as session:
        leases.claim(session, group_id, owner="two", model=desk.model.name, ttl_seconds=60)
    with desk.heartbeat.holding(claim):
        desk.heartbeat.beat()
        desk.heartbeat.beat()
    assert desk.metrics.registry.get_sample_value("prelogit_worker_lease_losses_total") == 2


def test_prompts_that_a_cancel_ends_are_counted(
    post: Post, make_desk: DeskMaker, store: Store, reward: Reward
) -> None:
    desk = make_desk(stop_wait_seconds=0)
    job_id, group_id = post(["Why?"], method=METHOD)
    desk.stopping.set()

    # Cancelled between the claim and the first round: the prompt is given back, and ends.
    beat = desk.heartbeat.holding

    def holding(claim: leases.Claim) -> object:
        with store.begin() as session:
            jobs.request_cancel(session, job_id)
        return beat(claim)

    desk.heartbeat.holding = holding  # type: ignore[method-assign, assignment]
    run_group(desk, group_id)
    value = desk.metrics.registry.get_sample_value
    assert value("prelogit_worker_prompts_ended_total", {"status": "cancelled"}) == 1


def test_prometheus_is_answered_on_the_port_until_the_end(make_desk: DeskMaker) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        port = held.getsockname()[1]
    end = listen(make_desk().metrics, "127.0.0.1", port)
    try:
        text = httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False).text
    finally:
        end()
    assert "prelogit_worker_iterations_total 0.0" in text
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"http://127.0.0.1:{port}/metrics", trust_env=False)


def test_a_port_that_is_taken_ends_the_worker_with_the_cure(
    tmp_path: Path, model_folder: str
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as held:
        env = environment(
            home=tmp_path, model=model_folder, metrics_port=held.getsockname()[1], device="cpu"
        )
        worker = service("workers", tmp_path / "log", env)
        try:
            assert worker.ended() == 1
        finally:
            worker.kill()
    assert "PRELOGIT_METRICS_PORT" in worker.said
    assert "Traceback" not in worker.said
