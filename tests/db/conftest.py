"""A store with its sessions, and small jobs to put into it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from db import jobs
from db.session import make_engine, sessions
from prelogit.wire.jobs import JobRequest

Post = Callable[..., jobs.Created]


@pytest.fixture
def engine(store_url: str) -> Iterator[Engine]:
    engine = make_engine(store_url)
    yield engine
    engine.dispose()


@pytest.fixture
def store(engine: Engine) -> sessionmaker[Session]:
    """Makes the sessions of one fresh database."""
    return sessions(engine)


@pytest.fixture
def post(store: sessionmaker[Session]) -> Post:
    """Stores a job: prompts (texts, a count, or items) and fields of the request."""

    def post(
        prompts: int | list[Any] = 3,
        *,
        tokens: dict[str, int] | None = None,
        key: str | None = None,
        body_hash: str | None = None,
        **fields: Any,
    ) -> jobs.Created:
        if isinstance(prompts, int):
            prompts = [f"question {place}" for place in range(1, prompts + 1)]
        request = JobRequest.model_validate({"prompts": prompts, **fields}).filled(model="tiny")
        counts = {str(item.id): 5 for item in request.prompts if not isinstance(item, str)}
        with store.begin() as session:
            return jobs.create(
                session,
                request,
                token_counts=counts | (tokens or {}),
                idempotency_key=key,
                body_hash=body_hash or uuid.uuid4().hex,
            )

    return post
