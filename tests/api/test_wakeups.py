"""Wake-ups reach the queue after the commit, and never hold up or fail a post."""

from __future__ import annotations

import signal
import threading

import httpx
import pytest
import redis

from api import wakeups
from tests.api.conftest import Start
from tests.api.running import Valkey, eventually, woken
from tests.api.worker import Worker


def test_every_group_of_a_posted_job_is_woken(start: Start, own_valkey: Valkey) -> None:
    gateway = start(redis_url=own_valkey.url, outbox_seconds=3600)
    body = {"prompts": ["a", "b", "c"], "method": {"name": "bon", "batch_size": 2}}
    gateway.job(body)
    worker = Worker(gateway.inside.store)
    eventually(lambda: worker.groups() == [])
    groups = woken(own_valkey.url, gateway.settings.model)
    assert len(groups) == 2
    claimed = [prompt for group in groups for prompt in worker.claim(group).prompts]
    assert {prompt.prompt_id for prompt in claimed} == {"p1", "p2", "p3"}


def test_each_model_is_woken_on_its_own_queue(
    start: Start, own_valkey: Valkey, other_model: str
) -> None:
    gateway = start(
        redis_url=own_valkey.url,
        models=(other_model,),
        reconcile_seconds=0.1,
        resend_seconds=0.5,
    )
    jobs = {name: gateway.job({"prompts": ["a"], "model": name}) for name in gateway.inside.texts}
    groups = {name: eventually(lambda n=name: woken(own_valkey.url, n))[0] for name in jobs}
    worker = Worker(gateway.inside.store)
    for name, job in jobs.items():
        eventually(lambda n=name: woken(own_valkey.url, n)[:2] == [groups[n]] * 2)  # and again
        assert worker.claim(groups[name]).job_id == job["id"]


def test_a_repeated_post_wakes_nobody_twice(start: Start, own_valkey: Valkey) -> None:
    gateway = start(redis_url=own_valkey.url)
    gateway.post({"prompts": ["a"]}, Idempotency_Key="k")
    eventually(lambda: len(woken(own_valkey.url, gateway.settings.model)) == 1)
    gateway.post({"prompts": ["a"]}, Idempotency_Key="k")
    gateway.post({"prompts": ["b"]})
    eventually(lambda: len(woken(own_valkey.url, gateway.settings.model)) == 2)


def test_a_retry_wakes_again(start: Start, own_valkey: Valkey) -> None:
    gateway = start(redis_url=own_valkey.url, outbox_seconds=3600)
    job = gateway.job()
    (group,) = eventually(lambda: woken(own_valkey.url, gateway.settings.model))
    worker = Worker(gateway.inside.store)
    worker.fail(worker.claim(group), "p1")
    gateway.client.post(f"{job['links']['self']}/retry")
    eventually(lambda: woken(own_valkey.url, gateway.settings.model) == [group, group])


def test_the_outbox_of_other_processes_is_sent_too(start: Start, own_valkey: Valkey) -> None:
    gateway = start(redis_url=own_valkey.url, outbox_seconds=0.05)
    gateway.job()
    (group,) = eventually(lambda: woken(own_valkey.url, gateway.settings.model))
    worker = Worker(gateway.inside.store)
    claim = worker.claim(group)
    worker.release(claim)
    eventually(lambda: woken(own_valkey.url, gateway.settings.model) == [group, group])


def test_a_killed_queue_fails_no_post_and_is_told_later(start: Start, own_valkey: Valkey) -> None:
    gateway = start(redis_url=own_valkey.url)
    gateway.job()
    eventually(lambda: len(woken(own_valkey.url, gateway.settings.model)) == 1)
    own_valkey.kill()
    for _ in range(3):
        assert gateway.post().status_code == 202
    own_valkey.start()
    worker = Worker(gateway.inside.store)
    eventually(lambda: worker.groups() == [])
    assert len(set(woken(own_valkey.url, gateway.settings.model))) == 3


def test_a_stopped_queue_holds_up_no_post_and_is_told_later(
    start: Start, own_valkey: Valkey
) -> None:
    gateway = start(redis_url=own_valkey.url)
    gateway.job()
    eventually(lambda: len(woken(own_valkey.url, gateway.settings.model)) == 1)
    own_valkey.send(signal.SIGSTOP)
    # The publisher hangs on the queue for 5 s; what writes to the store must not wait for it.
    gateway.client.timeout = httpx.Timeout(4)
    answers = [gateway.post().status_code for _ in range(20)]
    still = _silent(own_valkey.url)
    own_valkey.send(signal.SIGCONT)
    assert still
    assert answers == [202] * 20
    worker = Worker(gateway.inside.store)
    eventually(lambda: worker.groups() == [])
    assert len(set(woken(own_valkey.url, gateway.settings.model))) == 21


def test_a_queue_without_workers_does_not_grow_for_ever(
    start: Start, own_valkey: Valkey, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(wakeups, "LONGEST_QUEUE", 3)
    gateway = start(redis_url=own_valkey.url)
    gateway.job()
    worker = Worker(gateway.inside.store)
    (group,) = eventually(lambda: woken(own_valkey.url, gateway.settings.model))
    for _ in range(6):
        gateway.inside.publisher.again([group])
        eventually(lambda: not gateway.inside.publisher._again)
    assert woken(own_valkey.url, gateway.settings.model) == [group] * 3
    gateway.job()  # first wake-ups go out all the same
    eventually(lambda: worker.groups() == [])
    assert len(woken(own_valkey.url, gateway.settings.model)) == 4


def test_a_group_that_is_gone_is_not_woken_again(start: Start, own_valkey: Valkey) -> None:
    gateway = start(redis_url=own_valkey.url)
    publisher = gateway.inside.publisher
    publisher.again([f"grp_{number}" for number in range(1200)])  # more than one look takes
    eventually(lambda: not publisher._again)
    assert woken(own_valkey.url, gateway.settings.model) == []


def _silent(url: str) -> bool:
    with redis.Redis.from_url(url, socket_timeout=0.2) as client:
        try:
            client.ping()
        except redis.TimeoutError:
            return True
    return False


def test_a_gateway_that_starts_again_sends_what_waits(start: Start, own_valkey: Valkey) -> None:
    start().job()
    gateway = start(redis_url=own_valkey.url)
    eventually(lambda: len(woken(own_valkey.url, gateway.settings.model)) == 1)


def test_a_gateway_can_end_while_the_queue_is_stopped(start: Start, own_valkey: Valkey) -> None:
    gateway = start(redis_url=own_valkey.url)
    gateway.job()
    eventually(lambda: len(woken(own_valkey.url, gateway.settings.model)) == 1)
    own_valkey.send(signal.SIGSTOP)
    gateway.post()
    ending = threading.Thread(target=gateway.stop)
    ending.start()
    ending.join(60)
    ended = not ending.is_alive()
    own_valkey.send(signal.SIGCONT)
    ending.join()
    assert ended
