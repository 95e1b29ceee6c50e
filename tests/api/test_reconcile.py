"""Lost wake-ups are sent again, by one gateway at a time; dead cancellations end."""

from __future__ import annotations

from api.reconcile import Reconciler
from tests.api.conftest import Start
from tests.api.running import Running, Valkey, eventually, woken
from tests.api.worker import Worker


def reconciler(gateway: Running, told: list[str], *, resend_seconds: float = 0) -> Reconciler:
    return Reconciler(
        gateway.inside.store, told.extend, interval_seconds=60, resend_seconds=resend_seconds
    )


def test_a_group_that_nobody_took_is_woken_again(gateway: Running) -> None:
    gateway.job()
    told: list[str] = []
    found = reconciler(gateway, told).look()
    assert found == told == Worker(gateway.inside.store).groups()


def test_a_group_that_was_just_woken_is_left_alone(gateway: Running) -> None:
    gateway.job()
    assert reconciler(gateway, [], resend_seconds=60).look() == []


def test_a_held_group_is_left_alone_until_its_lease_ends(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    held, lost = gateway.job(), gateway.job()
    first, second = worker.groups()
    worker.claim(first)
    worker.claim(second, ttl_seconds=0)
    assert reconciler(gateway, []).look() == [second]
    assert held["id"] != lost["id"]


def test_one_of_two_gateways_looks(gateway: Running) -> None:
    gateway.job()
    one, other = reconciler(gateway, []), reconciler(gateway, [])
    assert len(one.look()) == 1
    assert other.look() == []
    assert len(one.look()) == 1


def test_a_cancelled_prompt_of_a_dead_worker_ends(gateway: Running) -> None:
    worker = Worker(gateway.inside.store)
    job = gateway.job()
    claim = worker.claim(worker.groups()[0], ttl_seconds=0)
    path = job["links"]["self"]
    assert gateway.client.post(f"{path}/cancel").json()["status"] == "cancelling"
    reconciler(gateway, []).look()
    assert gateway.get(path).json()["status"] == "cancelled"
    assert claim.job_id == job["id"]


def test_what_the_queue_forgot_is_sent_again(start: Start, own_valkey: Valkey) -> None:
    gateway = start(redis_url=own_valkey.url, reconcile_seconds=0.1, resend_seconds=0.5)
    gateway.job()
    (group,) = eventually(lambda: woken(own_valkey.url, gateway.settings.model))
    own_valkey.kill()  # it keeps nothing on disk
    own_valkey.start()
    assert woken(own_valkey.url, gateway.settings.model) == []
    eventually(lambda: group in woken(own_valkey.url, gateway.settings.model))
