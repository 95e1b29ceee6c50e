"""A gateway that asks for keys, of two projects, with all that must stay secret set up."""

from __future__ import annotations

import logging
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from api.settings import Settings
from db import keys, leases, outbox
from db.session import make_engine, migrate
from prelogit.telemetry.lines import TextLines
from prelogit.value.file import save_value
from prelogit.value.network import untrained
from prelogit.wire.keys import KeyRequest
from reward_service.settings import RewardSettings
from reward_service.specs import FunctionSpec
from tests.api.conftest import save_words
from tests.api.running import Running, free_port
from tests.api.worker import Worker
from tests.promises.bad_input.leaks import Leaks
from tests.reward_service.conftest import Service, run_service
from tests.value.made import header

PROJECTS = ("zebra-4711", "okapi-0815")
# Nobody listens at either.
HOOKS = "http://127.0.0.1:1"
REWARDS = "http://127.0.0.1:2"
VALUE = "polite"  # a value network that is there
SCOPES: tuple[tuple[str, ...], ...] = (("admin",), ("submit", "read"), ("submit",), ("read",))


class Caller(NamedTuple):
    """Who asks: with a key of a project, or without one that opens anything."""

    project: str | None
    scopes: tuple[str, ...]
    headers: dict[str, str]

    def may(self, scope: str | None) -> bool:
        """Whether the key opens what asks for that scope; None: any key does."""
        return self.project is not None and (
            scope is None or scope in self.scopes or "admin" in self.scopes
        )


@dataclass
class House:
    """The gateway, who may ask it, and what it has written into its log."""

    folder: Path
    gateway: Running
    rewards: Service
    callers: list[Caller]
    leaks: Leaks
    log: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return str(self.gateway.client.base_url)

    def leak(self, text: str, *known: str) -> str | None:
        """What a text tells that it must not; the model's name is a folder, and may be told."""
        return self.leaks.of(text, but=(self.gateway.settings.model, *known))

    def work(self) -> None:
        """A worker ends every prompt that waits."""
        worker, store = Worker(self.gateway.inside.store), self.gateway.inside.store
        with store.begin() as session:
            waiting = outbox.pending(session, 1000)
            outbox.sent(session, [row.id for row in waiting])
        for row in waiting:
            with store.begin() as session:
                claim = leases.claim(
                    session, row.group_id, owner=worker.owner, model=row.model, ttl_seconds=60
                )
            if claim is not None:
                worker.run(claim)


class _Kept(logging.Handler):
    def __init__(self, lines: list[str]) -> None:
        super().__init__()
        self._lines = lines
        self.setFormatter(TextLines("%(levelname)s %(name)s: %(message)s"))

    def emit(self, record: logging.LogRecord) -> None:
        self._lines.append(self.format(record))


def length(conversations: list[Any], responses: list[str]) -> list[float]:
    """The reward that the house has."""
    return [float(len(response)) for response in responses]


@contextmanager
def reward_service(**changes: Any) -> Iterator[Service]:
    """A reward service with two rewards that need no model."""
    path = f"{__name__}:length"
    hosted = tuple(
        FunctionSpec(name=name, kind="function", path=path) for name in ("relevance", "length")
    )
    with run_service(RewardSettings(_env_file=None, rewards=hosted, **changes)) as service:
        yield service


@contextmanager
def house(folder: Path, database_url: str | None = None, **changes: Any) -> Iterator[House]:
    """A house on that database, else on a SQLite file; it is torn down when the block ends.

    Args: folder: an empty one, for all that it writes. changes: of the gateway's settings.
    """
    queue, signing, health = (secrets.token_hex(16) for _ in range(3))
    (folder / "signing").write_text(signing + "\n")
    url = database_url or f"sqlite:///{folder / 'store.db'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    known: dict[str, Any] = {
        "home": folder / "home",
        "database_url": url,
        "redis_url": f"redis://:{queue}@127.0.0.1:{free_port()}/0",
        "model": str(save_words(folder / "model")),
        "max_new_tokens": 128,
        "poll_seconds": 0.02,
        "reconcile_seconds": 3600,
        "outbox_seconds": 3600,
        "api_keys_required": True,
        "health_token": health,
        "webhook_urls": (HOOKS,),
        "reward_urls": (REWARDS,),
        "webhook_secrets": {"main": {"file": folder / "signing"}},
        "webhook_hours": 0.001,
        **changes,
    }
    value = folder / "home" / "values" / VALUE
    save_value(value / "value.safetensors", untrained(6, 8, seed=1), header())
    (value / "states").mkdir()
    (value / "states" / "one.safetensors").touch()
    with ExitStack() as stack:
        stack.enter_context(_own_environment())
        rewards = stack.enter_context(reward_service())
        gateway = Running(Settings(_env_file=None, reward_url=rewards.url, **known))
        stack.callback(gateway.stop)
        callers = list(_callers(gateway))
        hidden = {queue, signing, health, *_passwords(url), *map(_bearer, callers)} - {""}
        built = House(folder, gateway, rewards, callers, Leaks(hidden, [folder]))
        kept = _Kept(built.log)
        logging.getLogger().addHandler(kept)
        stack.callback(logging.getLogger().removeHandler, kept)
        yield built


def _callers(gateway: Running) -> Iterator[Caller]:
    for project in PROJECTS:
        for scopes in SCOPES:
            with gateway.inside.store.begin() as session:
                asked = KeyRequest.model_validate({"project": project, "scopes": scopes})
                key = keys.create(session, asked).key
            yield Caller(project, scopes, {"Authorization": f"Bearer {key}"})
    yield Caller(None, (), {})
    yield Caller(None, (), {"Authorization": f"Bearer plk_{'0' * 12}_{'0' * 64}"})


def _bearer(caller: Caller) -> str:
    return caller.headers.get("Authorization", "").removeprefix("Bearer ")


def _passwords(url: str) -> set[str]:
    user, at, _ = url.partition("://")[2].rpartition("@")
    return {user.partition(":")[2]} if at else set()


@contextmanager
def _own_environment() -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("PRELOGIT_")}
    for name in kept:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ.update(kept)


def clear(folder: Path) -> None:
    """Removes what a house has written."""
    shutil.rmtree(folder, ignore_errors=True)
