"""The client with a gateway that asks for keys."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from prelogit import AsyncClient, Client
from prelogit.client.patience import PAUSE_SECONDS, Patience
from prelogit.core.errors import InputError, ServiceError
from tests.api.keyed import make_key
from tests.client.gateway import Gateway


@pytest.fixture
def locked(tmp_path: Path, model_folder: str, clean_environment: None) -> Iterator[Gateway]:
    found = Gateway(tmp_path, model_folder, api_keys_required=True)
    yield found
    found.running.stop()


def test_the_key_is_sent_with_everything(locked: Gateway) -> None:
    key = make_key(locked.running).key
    with Client(locked.url, key=key) as client:
        handle = client.submit("a")
        locked.worker.run_all()
        assert [event.kind for event in handle.events()][-1] == "job"
        assert handle.wait(30).status == "succeeded"
        assert [one.id for one in client.jobs()] == [handle.id]


async def test_the_asynchronous_client_sends_it_too(
    locked: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = make_key(locked.running).key
    async with AsyncClient(locked.url, key=key) as client:
        first = await client.submit("a")
    monkeypatch.setenv("PRELOGIT_API_KEY", f"{key}\n")  # as a file is read
    async with AsyncClient(locked.url) as client:
        assert (await client.job(first.id)).id == first.id


def test_without_a_key_the_error_says_where_to_put_one(
    locked: Gateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client(locked.url) as client, pytest.raises(ServiceError) as caught:
        client.submit("a")
    assert caught.value.status == 401
    assert "PRELOGIT_API_KEY" in str(caught.value)
    monkeypatch.setenv("PRELOGIT_API_KEY", make_key(locked.running).key)
    with Client(locked.url) as client:
        assert client.submit("a").status == "queued"


@pytest.mark.parametrize("key", ["plk_a b", "plk_\u00e9", "plk_\x00"])
def test_what_no_header_carries_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(InputError) as caught:
        Client("http://127.0.0.1:9", key=key)
    assert caught.value.field == "PRELOGIT_API_KEY"
    assert key not in str(caught.value)


def test_a_gateway_that_was_asked_too_often_is_left_alone_as_long_as_it_says() -> None:
    asked = ServiceError("slower", status=429, retry_after_seconds=7.0)
    assert Patience().forgive(asked) == 7.0
    assert Patience().forgive(ServiceError("slower", status=429)) == PAUSE_SECONDS
    with pytest.raises(ServiceError):
        Patience(timeout=1.0).forgive(asked)


def test_when_to_come_back_is_read_from_the_answer() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        headers = {"Retry-After": "7", "Content-Type": "application/problem+json"}
        return httpx.Response(429, headers=headers, json={"detail": "slower"})

    with (
        Client("http://127.0.0.1:9", transport=httpx.MockTransport(answer)) as client,
        pytest.raises(ServiceError) as caught,
    ):
        client.submit("a")
    assert caught.value.retry_after_seconds == 7.0
