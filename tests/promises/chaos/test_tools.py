"""What the chaos run disturbs and looks with: a proxy, a plan out of a seed, a ledger of fences."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator

import pytest
from sqlalchemy import text

from db.session import make_engine
from prelogit.core.records import Iteration, Parent, Population, Seconds
from tests.promises.chaos import ledger, moments, plan
from tests.promises.chaos.alike import likeness
from tests.promises.chaos.proxy import Proxy


@pytest.fixture
def echo() -> Iterator[int]:
    """The port of a server that sends back what it gets."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    one, _ = server.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=[one], daemon=True).start()

        def answer(one: socket.socket) -> None:
            try:
                while said := one.recv(100):
                    one.sendall(said)
            except OSError:
                pass
            finally:
                one.close()

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


@pytest.fixture
def proxy(echo: int) -> Iterator[Proxy]:
    made = Proxy(port=echo)
    yield made
    made.close()


def dial(proxy: Proxy) -> socket.socket:
    one = socket.create_connection(("127.0.0.1", proxy.port))
    one.settimeout(60)
    return one


def asked(one: socket.socket) -> bytes:
    one.sendall(b"hello")
    return one.recv(100)


def test_a_proxy_hands_on_also_late(proxy: Proxy) -> None:
    with dial(proxy) as one:
        assert asked(one) == b"hello"
        proxy.set("delay")
        assert asked(one) == b"hello"


def test_what_was_dropped_never_arrives_and_breaks_in_the_end(proxy: Proxy) -> None:
    with dial(proxy) as old:
        assert asked(old) == b"hello"
        proxy.set("drop")
        old.settimeout(0.5)
        with pytest.raises(TimeoutError):
            asked(old)
        proxy.set("pass")
        old.settimeout(60)
        with pytest.raises(ConnectionResetError):
            asked(old)
    with dial(proxy) as new:
        assert asked(new) == b"hello"


def test_a_reset_breaks_old_and_new_connections(proxy: Proxy) -> None:
    with dial(proxy) as old:
        assert asked(old) == b"hello"
        proxy.set("reset")
        with pytest.raises(ConnectionResetError):
            old.recv(100)
    with pytest.raises(ConnectionError), dial(proxy) as new:
        assert asked(new) == b"hello"
    proxy.set("pass")
    with dial(proxy) as again:
        assert asked(again) == b"hello"


def test_a_seed_is_an_order_and_every_fault_has_its_turn() -> None:
    known = {"processes": ["worker-1", "queue"], "links": ["queue"], "lease_seconds": 3.0}
    faults = plan.draw(7, 9, **known)
    assert faults == plan.draw(7, 9, **known)
    assert faults != plan.draw(8, 9, **known)
    assert {(fault.kind, fault.target) for fault in faults} == {
        *(("kill", "worker-1"), ("stop", "worker-1"), ("kill", "queue"), ("stop", "queue")),
        *(("delay", "queue"), ("drop", "queue"), ("reset", "queue")),
    }
    assert all(fault.seconds > 3.0 for fault in faults if fault.kind == "stop")


def test_moments_are_drawn_over_a_whole_job_and_half_of_them_hit_a_worker() -> None:
    known = {"processes": ["queue", "gateway", "worker-1", "worker-2"]}
    kills = moments.draw(7, 40, **known)
    assert kills == moments.draw(7, 40, **known)
    assert kills != moments.draw(8, 40, **known)
    assert Counter(kill.target for kill in kills) == {"worker": 20, "queue": 10, "gateway": 10}
    assert {int(kill.share * 5) for kill in kills} == {0, 1, 2, 3, 4}


def test_the_ledger_sees_a_fence_that_goes_back(store_url: str) -> None:
    engine = make_engine(store_url)
    ledger.install(engine)
    with engine.begin() as connection:
        connection.execute(
            text("INSERT INTO ownerships VALUES ('a', 'owner', '2026-01-01 00:00:00+00:00', 1)")
        )
        connection.execute(text("UPDATE ownerships SET fence = 2"))
        connection.execute(text("UPDATE ownerships SET owner = 'other'"))
    assert ledger.breaches(engine) == (1, [])
    with engine.begin() as connection:
        connection.execute(text("UPDATE ownerships SET fence = 1"))
    assert ledger.breaches(engine) == (2, ["the fence of ownerships a went from 2 to 1"])
    engine.dispose()


def searched(reward: float = 0.5, prior: float = -3.25, weight: float = 0.4) -> list[Iteration]:
    """A round of a search from text to text."""
    text = Parent(iteration=1, sample=0, reward=reward, weight=weight, log_prior=prior)
    return [
        Iteration(
            k=1,
            mean=reward,
            std=0.0,
            best=reward,
            best_so_far=reward,
            rewards=(reward,),
            weights=(weight,),
            finish=("stop",),
            population=Population(parents=(-1,), texts=(text,)),
            tokens=3,
            reward_calls=1,
            seconds=Seconds(decode=0.0, reward=0.0, wait=0.0),
        )
    ]


@pytest.mark.parametrize(
    ("other", "found"),
    [
        ({}, "same"),
        ({"prior": -3.251, "weight": 0.4004}, "rounded"),
        ({"prior": -3.252}, "other"),
        ({"weight": 0.41}, "other"),
        ({"reward": 0.501}, "other"),
    ],
)
def test_rounds_differ_unless_a_prior_alone_was_rounded_the_other_way(
    other: dict[str, float], found: str
) -> None:
    assert likeness(searched(), searched(**other)) == found
    assert likeness(searched(), []) == "other"


def test_the_ledger_knows_the_jobs_of_which_a_prompt_was_searched_apart(
    store_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    engine = make_engine(store_url)
    with engine.begin() as connection:
        connection.execute(
            text("CREATE TABLE told (job_id TEXT, prompt_id TEXT, fence INT, attempt INT)")
        )
    monkeypatch.setattr(ledger, "_KEYS", {"told": ledger._KEYS["prompts"]})
    ledger.install(engine)
    with engine.begin() as connection:
        for job, attempt in (("job_a", 2), ("job_b", 3)):
            connection.execute(text(f"INSERT INTO told VALUES ('{job}', 'p1', 1, 0)"))
            connection.execute(
                text(f"UPDATE told SET fence = 2, attempt = {attempt} WHERE job_id = '{job}'")
            )
    assert ledger.jobs_with_suspects(engine) == {"job_b"}
    engine.dispose()
