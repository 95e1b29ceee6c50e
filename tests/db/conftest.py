"""A store with its sessions, and small jobs to put into it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from sqlalchemy import Engine
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, leases
from db.session import make_engine, sessions
from prelogit.core.records import BaselineResult, Candidate, Iteration, Result, Seconds
from prelogit.wire.jobs import JobRequest
from tests.db.posting import prompts_of

Post = Callable[..., jobs.Created]
Take = Callable[..., leases.Claim]


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
        with store.begin() as session:
            return jobs.create(
                session,
                request,
                prompts_of(request, tokens),
                idempotency_key=key,
                body_hash=body_hash or uuid.uuid4().hex,
            )

    return post


@pytest.fixture
def take(store: sessionmaker[Session]) -> Take:
    """Claims a group that must be free."""

    def take(group_id: str, owner: str = "worker", ttl_seconds: float = 60.0) -> leases.Claim:
        with store.begin() as session:
            claim = leases.claim(
                session, group_id, owner=owner, model="tiny", ttl_seconds=ttl_seconds
            )
        assert claim is not None
        return claim

    return take


@pytest.fixture
def round_() -> Callable[..., Iteration]:
    """One row of a trace from its rewards."""

    def make(k: int, rewards: tuple[float, ...] = (0.25, 0.75), **fields: Any) -> Iteration:
        values: dict[str, Any] = {
            "k": k,
            "mean": sum(rewards) / len(rewards),
            "std": 0.1,
            "best": max(rewards),
            "best_so_far": max(rewards),
            "rewards": rewards,
            "weights": (1 / len(rewards),) * len(rewards),
            "finish": ("stop",) * len(rewards),
            "tokens": 10,
            "reward_calls": 1,
            "reward_tokens": 30,
            "seconds": Seconds(decode=1.0, reward=0.5, wait=0.25),
        }
        return Iteration.model_validate(values | fields)

    return make


@pytest.fixture
def drawn() -> Callable[..., Candidate]:
    """One candidate."""

    def make(
        iteration: int,
        sample: int,
        reward: float,
        text: str = "answer",
        held_out: float | None = None,
        truncated: bool | None = None,
    ) -> Candidate:
        return Candidate(
            iteration=iteration,
            sample=sample,
            token_ids=(1, sample, 2),
            text=text,
            reward=reward,
            held_out=held_out,
            truncated=truncated,
            finish_reason="stop",
        )

    return make


@pytest.fixture
def outcome() -> Callable[..., Result]:
    """What a search of a prompt ended with; margins become baselines, each with the expected one."""

    def make(
        prompt_id: str, status: str = "succeeded", reward: float | None = 0.5, **fields: Any
    ) -> Result:
        margins = fields.pop("margins", ())
        expected = fields.pop("expected", [None] * len(margins))
        values: dict[str, Any] = {
            "prompt_id": prompt_id,
            "status": status,
            "reward": reward,
            "response": None if reward is None else "answer",
            "baselines": tuple(
                BaselineResult(
                    name="bon",
                    reward=None if margin is None else (reward or 0) - margin,
                    response="other",
                    samples=4,
                    seconds=1.0,
                    margin=margin,
                    expected_margin=other,
                )
                for margin, other in zip(margins, expected, strict=True)
            ),
        }
        return Result.model_validate(values | fields)

    return make
