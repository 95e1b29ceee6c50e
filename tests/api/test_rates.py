"""How often a key may ask and how much of it may wait: 429 with when to come back."""

from __future__ import annotations

import signal
import time
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import httpx
import pytest

from api.keys.rates import Bucket, Rates, size, take
from tests.api.conftest import Start
from tests.api.keyed import client_of, make_key
from tests.api.running import Running, Valkey, free_port
from tests.api.test_submit import assert_problem, fields_of
from tests.api.worker import Worker


def test_a_bucket_refills_evenly_and_never_overflows() -> None:
    left, bucket = 0, None
    for _ in range(size(60) + 1):
        bucket, wait = take(bucket, 60, 100.0)
        left += wait == 0
    assert left == size(60) == 15
    assert wait == pytest.approx(1.0)
    assert take(bucket, 60, 100.5)[1] == pytest.approx(0.5)
    assert take(bucket, 60, 101.0) == (Bucket(0.0, 101.0), 0.0)
    assert take(bucket, 60, 9e9)[0].tokens == size(60) - 1
    assert take(bucket, 60, 99.0)[1] == pytest.approx(1.0)  # a clock that went backwards
    assert size(1) == 1


def limited(answers: list[httpx.Response]) -> list[httpx.Response]:
    return [answer for answer in answers if answer.status_code == 429]


def test_a_key_that_asks_too_often_is_told_when_to_come_back(
    start: Start, own_valkey: Valkey
) -> None:
    one, other = (start(api_keys_required=True, redis_url=own_valkey.url) for _ in range(2))
    key, free = make_key(one, rate_per_minute=4), make_key(one)
    with client_of(one, key) as client, client_of(other, key) as elsewhere:
        assert client.get("/v1/jobs").status_code == 200
        for asked in (elsewhere, client):  # the gateways share the bucket
            answer = asked.post("/v1/jobs", json={"prompts": ["a"]})
            assert "4 requests a minute" in assert_problem(answer, 429)["detail"]
            assert 1 <= int(answer.headers["retry-after"]) <= 15
    with client_of(one, free) as client:
        assert not limited([client.get("/v1/jobs") for _ in range(9)])
        assert client.get("/v1/jobs").json()["data"] == []


def test_requests_at_once_get_no_more_than_there_is(own_valkey: Valkey) -> None:
    gateways = [Rates(own_valkey.url) for _ in range(4)]
    start = time.monotonic()
    with ThreadPoolExecutor(16) as pool:
        waits = list(pool.map(lambda i: gateways[i % 4].take("k", 8), range(80)))
    came_up = (time.monotonic() - start) * 8 / 60  # meanwhile; a slow machine is given more
    assert 2 <= sum(wait == 0 for wait in waits) <= 2 + came_up
    for gateway in gateways:
        gateway.close()


def test_no_request_at_once_counts_for_itself(
    own_valkey: Valkey, caplog: pytest.LogCaptureFixture
) -> None:
    rates, threads = Rates(own_valkey.url), 40
    together = Barrier(threads)

    def asked(_: int) -> float:
        together.wait()
        return rates.take("k", 4)

    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            list(pool.map(asked, range(threads)))
    assert "MaxConnectionsError" not in caplog.text
    rates.close()


def test_without_a_queue_each_gateway_counts_for_itself(start: Start, own_valkey: Valkey) -> None:
    gone = start(api_keys_required=True, redis_url=f"redis://127.0.0.1:{free_port()}/0")
    stopped = start(api_keys_required=True, redis_url=own_valkey.url)
    own_valkey.send(signal.SIGSTOP)
    try:
        for gateway in (gone, stopped):
            with client_of(gateway, make_key(gateway, rate_per_minute=4)) as client:
                answers = [client.get("/v1/jobs") for _ in range(4)]
                assert answers[0].status_code == 200
                assert len(limited(answers)) in (2, 3)
    finally:
        own_valkey.send(signal.SIGCONT)


@pytest.fixture
def locked(start: Start) -> Running:
    return start(api_keys_required=True)


def test_no_more_waits_than_the_key_may_have(locked: Running) -> None:
    key, other = make_key(locked, unfinished_prompts=3), make_key(locked)
    worker = Worker(locked.inside.store)
    with client_of(locked, key) as client, client_of(locked, other) as free:
        first = client.post(
            "/v1/jobs", json={"prompts": ["a", "b"]}, headers={"Idempotency-Key": "k"}
        )
        assert first.status_code == 202
        refused = client.post("/v1/jobs", json={"prompts": ["a", "b"]})
        assert "at most 3" in assert_problem(refused, 429)["detail"]
        assert int(refused.headers["retry-after"]) >= 1
        assert len(client.get("/v1/jobs").json()["data"]) == 1
        # The same post again adds nothing, and others have limits of their own.
        again = client.post(
            "/v1/jobs", json={"prompts": ["a", "b"]}, headers={"Idempotency-Key": "k"}
        )
        assert again.json()["id"] == first.json()["id"]
        assert free.post("/v1/jobs", json={"prompts": ["a"] * 9}).status_code == 202
        large = client.post("/v1/jobs", json={"prompts": ["a"] * 4})
        assert fields_of(assert_problem(large, 422)) == ["prompts"]
        worker.run_all()
        assert client.post("/v1/jobs", json={"prompts": ["a", "b"]}).status_code == 202


def test_a_retry_adds_to_what_waits(locked: Running) -> None:
    with client_of(locked, make_key(locked, unfinished_prompts=3)) as client:
        job = client.post("/v1/jobs", json={"prompts": ["a", "b"]}).json()["links"]["self"]
        assert client.post(f"{job}/cancel").status_code == 202
        assert client.post("/v1/jobs", json={"prompts": ["a", "b"]}).status_code == 202
        assert_problem(client.post(f"{job}/retry"), 429)
        assert client.get(job).json()["status"] == "cancelled"


def test_posts_at_once_do_not_exceed_the_limit(locked: Running) -> None:
    key = make_key(locked, unfinished_prompts=5)

    def post(_: int) -> int:
        with client_of(locked, key) as client:
            return client.post("/v1/jobs", json={"prompts": ["a", "b"]}).status_code

    with ThreadPoolExecutor(6) as pool:
        statuses = list(pool.map(post, range(6)))
    assert sorted(statuses) == [202, 202, 429, 429, 429, 429]
