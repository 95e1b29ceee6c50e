"""The Python client against a real gateway."""

from __future__ import annotations

import inspect
import socket
import threading

import pytest

from prelogit import AISP, AsyncClient, BestOfN, Client
from prelogit.client import AsyncJobHandle, JobHandle
from prelogit.core.errors import InputError, ServiceError
from prelogit.core.records import Candidate, Result, Trace
from prelogit.wire.jobs import Job, PromptItem, Stop, Webhook
from tests.api.running import Saying
from tests.client.cutting import CuttingProxy
from tests.client.gateway import Gateway


def test_a_job_from_its_post_to_its_results(client: Client, gateway: Gateway) -> None:
    handle = client.submit(
        ["one", PromptItem(id="b %é", prompt="two"), {"id": "c", "prompt": "three"}],
        method=AISP(n=4, iterations=2, lambda_=0.5),
        baselines=[BestOfN(noise="gaussian"), {"name": "bon"}],
        reward="relevance",
        stop=Stop(plateau=2),
        seed=7,
        metadata={"team": "x"},
    )
    assert handle.status == "queued"
    request = handle.job.request
    assert request["method"]["lambda"] == 0.5
    assert [one["n"] for one in request["baselines"]] == [12, 12]
    assert (request["seed"], request["stop"]["plateau"]) == (7, 2)
    assert [item["id"] for item in request["prompts"]] == ["p1", "b %é", "c"]

    gateway.worker.run_all()
    assert handle.wait(30).status == "succeeded"
    found = list(handle.results())
    assert [type(result) for result in found] == [Result] * 3
    assert [result.prompt_id for result in found] == ["p1", "b %é", "c"]
    assert handle.result("b %é").response == "the answer to b %é"
    trace = handle.trace("b %é")
    assert isinstance(trace, Trace)
    assert trace.iterations[0].lambda_ == 0.3
    assert isinstance(handle.candidates("c")[0], Candidate)
    assert client.job(handle.id).status == "succeeded"


def test_one_prompt_may_stand_alone(client: Client) -> None:
    assert client.submit("just one").job.counts.total == 1
    assert client.submit({"prompt": "just one"}).job.counts.total == 1
    assert client.submit(text for text in ("a", "b")).job.counts.total == 2


def test_a_webhook_may_be_its_url(client: Client) -> None:
    url = "https://example.com/hook"
    for hook in (url, Webhook(url=url), {"url": url}):
        assert client.submit("a", webhook=hook).job.request["webhook"]["url"] == url


def test_many_results_and_jobs_come_over_all_pages(client: Client, gateway: Gateway) -> None:
    handle = client.submit([f"prompt {i}" for i in range(450)], method=BestOfN(n=1))
    assert [result.index for result in handle.results()] == list(range(450))
    assert all(result.status == "queued" for result in handle.results())
    prompts = list(handle.prompts())
    assert [prompt.item.prompt for prompt in prompts] == [f"prompt {i}" for i in range(450)]
    assert handle.prompt("p450") == prompts[-1]
    others = [client.submit("x").id for _ in range(3)]
    assert [job.id for job in client.jobs()] == [*reversed(others), handle.id]
    assert list(client.jobs(status="failed")) == []


def test_the_same_key_gives_the_same_job_and_another_body_is_refused(client: Client) -> None:
    first = client.submit("a", idempotency_key="k")
    assert client.submit("a", idempotency_key="k").id == first.id
    with pytest.raises(ServiceError, match="Idempotency-Key") as caught:
        client.submit("b", idempotency_key="k")
    assert caught.value.status == 422


def test_an_estimate_stores_nothing(client: Client) -> None:
    told = client.estimate(["a b", "c"], method=AISP(n=4, iterations=1))
    assert (told["prompts"], told["candidates"], told["problems"]) == (2, 16, [])
    assert client.estimate("a", model="other")["problems"][0]["field"] == "model"
    assert list(client.jobs()) == []


def test_every_wrong_field_is_told(client: Client) -> None:
    with pytest.raises(ServiceError) as caught:
        client.submit(["a"], seed=-1, keep="some", lamda=3)  # type: ignore[call-arg,typeddict-item]
    for field in ("seed", "keep", "lamda"):
        assert field in str(caught.value)
    assert caught.value.status == 422
    assert len(caught.value.problem["errors"]) == 3  # type: ignore[arg-type]


def test_what_is_not_json_is_refused_here(client: Client) -> None:
    for bad in ({"prompt": float("nan")}, {"prompt": object()}, {"prompt": "\ud800"}):
        with pytest.raises(InputError):
            client.submit([bad])


def test_cancel_retry_and_delete(client: Client, gateway: Gateway) -> None:
    handle = client.submit(["a", "b"])
    with pytest.raises(ServiceError, match="has not ended"):
        handle.delete()
    assert handle.cancel().status == "cancelled"
    assert handle.retry().status == "queued"
    # Nothing takes wake-ups here, so the group has two of them.
    for group_id in set(gateway.worker.groups()):
        gateway.worker.run(gateway.worker.claim(group_id))
    assert handle.refresh().status == "succeeded"
    handle.delete()
    with pytest.raises(ServiceError, match="is not known here") as caught:
        handle.refresh()
    assert caught.value.status == 404


def test_waiting_hears_of_the_progress_and_ends_with_the_job(
    client: Client, gateway: Gateway
) -> None:
    handle = client.submit("a")
    (claim,) = gateway.worker.claim_all()
    seen: list[Job] = []

    def on_update(job: Job) -> None:
        seen.append(job)
        if len(seen) == 1:
            gateway.worker.run(claim)

    assert handle.wait(on_update=on_update).status == "succeeded"
    assert seen[0].status == "running"
    assert seen[-1].status == "succeeded"


def test_waiting_ends_with_the_time_and_the_job_goes_on(client: Client) -> None:
    handle = client.submit("a")
    with pytest.raises(TimeoutError, match="still queued"):
        handle.wait(0.1)
    assert handle.refresh().status == "queued"


def test_events_tell_the_whole_story_over_cut_connections(client: Client, gateway: Gateway) -> None:
    handle = client.submit(["a", "b"])
    gateway.worker.run_all()
    whole = list(handle.events())
    assert [event.id for event in whole] == list(range(1, len(whole) + 1))
    assert {event.kind for event in whole} == {"job", "iteration", "result"}
    assert whole[-1].data["status"] == "succeeded"
    assert list(handle.events(after=whole[2].id)) == whole[3:]
    assert list(handle.events(after=whole[-1].id)) == []

    proxy = CuttingProxy(gateway.url, cuts=2, after=700)
    try:
        with Client(proxy.url) as cut:
            job = client.job(handle.id).job
            assert list(JobHandle(cut, job).events()) == whole
    finally:
        proxy.close()


def test_events_come_while_the_job_runs(client: Client, gateway: Gateway) -> None:
    handle = client.submit("a")
    later = threading.Timer(0.3, gateway.worker.run_all)
    later.start()
    seen = [event.kind for event in handle.events()]
    later.join()
    assert {"job", "iteration", "result"} == set(seen)
    assert handle.refresh().status == "succeeded"


def test_no_gateway_is_told_with_its_url_and_the_cure(clean_environment: None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with Client(url) as client, pytest.raises(ServiceError, match="prelogit up") as caught:
        client.submit("a")
    assert url in str(caught.value)
    assert caught.value.status == 0


@pytest.mark.parametrize(
    ("status", "body", "told"),
    [
        (200, b'{"hello": 1}', "is no Prelogit gateway"),
        (200, b"<html>", "is no Prelogit gateway"),
        (200, b"[" * 100_000, "is no Prelogit gateway"),
        (500, b"[" * 100_000, "answered 500"),
        (502, b"<html>", "answered 502"),
    ],
)
def test_what_is_no_gateway_is_told(status: int, body: bytes, told: str) -> None:
    other = Saying(status, body)
    try:
        with Client(other.url) as client, pytest.raises(ServiceError, match=told):
            client.job("job_1")
    finally:
        other.stop()


@pytest.mark.parametrize("url", ["localhost:8000", "ftp://x", "http://", "http://[::1"])
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(InputError, match="is no URL"):
        Client(url)


def test_the_url_comes_from_the_environment(
    clean_environment: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Client() as client:
        assert client.url == "http://127.0.0.1:8000"
    monkeypatch.setenv("PRELOGIT_URL", "http://h:1/")
    with Client() as client:
        assert client.url == "http://h:1"


async def test_the_asynchronous_client_does_the_same(gateway: Gateway) -> None:
    async with AsyncClient(gateway.url) as client:
        handle = await client.submit(["a", "b"], method=BestOfN(n=2))
        assert (await client.estimate("a"))["prompts"] == 1
        with pytest.raises(TimeoutError):
            await handle.wait(0.05)
        threading.Timer(0.1, gateway.worker.run_all).start()
        assert (await handle.wait()).status == "succeeded"
        assert [result.prompt_id async for result in handle.results()] == ["p1", "p2"]
        assert (await handle.result("p1")).response
        assert (await handle.trace("p1")).iterations
        assert await handle.candidates("p1")
        assert [event.kind async for event in handle.events()][-1] == "job"
        assert [job.id async for job in client.jobs()] == [handle.id]
        assert (await handle.cancel()).status == "succeeded"
        assert (await handle.retry()).status == "succeeded"
        await handle.delete()
        with pytest.raises(ServiceError, match="not known"):
            await client.job(handle.id)


def test_both_clients_offer_the_same() -> None:
    for blocking, asynchronous in ((Client, AsyncClient), (JobHandle, AsyncJobHandle)):
        names = {name for name in dir(blocking) if not name.startswith("_")}
        assert names == {name for name in dir(asynchronous) if not name.startswith("_")}
        for name in names:
            one, other = getattr(blocking, name), getattr(asynchronous, name)
            if callable(one):
                mine, theirs = inspect.signature(one), inspect.signature(other)
                assert list(mine.parameters) == list(theirs.parameters), name
