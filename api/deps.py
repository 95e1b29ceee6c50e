"""What the routes need: one set for the running gateway, handed out by FastAPI."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeVar

from fastapi import Depends, Request
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker
from starlette.concurrency import run_in_threadpool

from api.catalog.models import ModelText
from api.catalog.rewards import RewardCatalog
from api.health.refusals import Refusals
from api.keys.rates import Rates
from api.keys.ring import KeyRing
from api.settings import Settings
from api.wakeups import Publisher
from db.session import reading

T = TypeVar("T")


@dataclass(frozen=True)
class Gateway:
    """Everything that lives as long as the gateway does."""

    settings: Settings
    engine: Engine
    store: sessionmaker[Session]
    publisher: Publisher
    ring: KeyRing
    rates: Rates
    rewards: RewardCatalog
    texts: Mapping[str, ModelText]  # of every model that is offered, by its name
    started: float = field(default_factory=time.time)  # Unix seconds
    refusals: Refusals = field(default_factory=Refusals)
    stopping: threading.Event = field(default_factory=threading.Event)

    async def look(self, read: Callable[[Session], T]) -> T:
        """What ``read`` finds, in a short read-only transaction off the event loop."""

        def inside() -> T:
            with reading(self.store) as session:
                return read(session)

        return await run_in_threadpool(inside)


def gateway_of(request: Request) -> Gateway:
    """The gateway that serves this request."""
    gateway: Gateway = request.app.state.gateway
    return gateway


Here = Annotated[Gateway, Depends(gateway_of)]
