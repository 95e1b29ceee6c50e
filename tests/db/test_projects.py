"""Whose job it is: listings, idempotency keys, and what was there before there were projects."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text
from sqlalchemy.orm import Session, sessionmaker

import db.schema
from db import jobs
from db.session import check, make_engine, migrate, reading, sessions
from prelogit.wire.jobs import JobRequest
from tests.db.posting import prompts_of

Store = sessionmaker[Session]


def posted(store: Store, project: str, key: str | None = None, body: str = "same") -> jobs.Created:
    request = JobRequest.model_validate({"prompts": ["a"]}).filled(model="tiny")
    with store.begin() as session:
        return jobs.create(
            session,
            request,
            prompts_of(request),
            idempotency_key=key,
            body_hash=body,
            project=project,
            key_id="0" * 12,
        )


def listed(store: Store, project: str | None) -> list[str]:
    with reading(store) as session:
        page, _ = jobs.listing(session, status=None, limit=9, cursor=None, project=project)
    return [job.id for job in page]


def test_a_project_lists_its_own_jobs(store: Store) -> None:
    mine, theirs = posted(store, "mine").job_id, posted(store, "theirs").job_id
    assert listed(store, "mine") == [mine]
    assert listed(store, "theirs") == [theirs]
    assert listed(store, "default") == []
    assert listed(store, None) == [theirs, mine]
    with reading(store) as session:
        assert jobs.project_of(session, mine) == "mine"
        job = jobs.view(session, mine)
        assert job is not None
        assert job.project == "mine"
        assert jobs.project_of(session, "job_none") is None


def test_idempotency_keys_are_of_a_project(store: Store) -> None:
    ids = {project: posted(store, project, "k").job_id for project in ("default", "a", "b")}
    assert len(set(ids.values())) == 3
    for project, job_id in ids.items():
        again = posted(store, project, "k")
        assert (again.job_id, again.existing) == (job_id, True)
        with pytest.raises(jobs.IdempotencyConflictError):
            posted(store, project, "k", body="other")


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("empty_postgres"))


def test_jobs_from_before_projects_are_the_default_ones(empty_url: str) -> None:
    engine = make_engine(empty_url)
    config = db.schema._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0010")
        connection.execute(
            text(
                "INSERT INTO jobs (id, status, created_at, idempotency_key, body_hash,"
                " request_bytes, prompt_count, rounds, event_seq, prompt_tokens,"
                " generated_tokens, candidates, reward_calls, reward_tokens, decode_seconds,"
                " reward_seconds, wait_seconds, settings) VALUES ('job_old', 'running',"
                " '2026-01-02 03:04:05+00:00', 'k', 'same', 9, 1, 1, 0, 3, 0, 0, 0, 0, 0, 0, 0,"
                """ '{"model":"tiny","baselines":[]}')"""
            )
        )
    migrate(engine)
    check(engine)
    store = sessions(engine)
    assert listed(store, "default") == ["job_old"]
    again = posted(store, "default", "k")
    assert (again.job_id, again.existing) == ("job_old", True)
    assert posted(store, "mine", "k").job_id != "job_old"
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0010")
    assert "api_keys" not in inspect(engine).get_table_names()
    assert "project" not in {one["name"] for one in inspect(engine).get_columns("jobs")}
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count(*) FROM jobs")).scalar() == 2
    engine.dispose()
