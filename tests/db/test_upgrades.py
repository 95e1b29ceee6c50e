"""A database that any earlier migration made opens with its jobs, and they go on."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from alembic import command
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text

import db.schema
from db import jobs, leases, outbox, results, trace
from db.models import JobRow
from db.session import check, make_engine, migrate, reading, sessions
from prelogit.core.records import Iteration, Result

_SCRIPTS = ScriptDirectory.from_config(db.schema._config())
EARLIER = sorted(
    {script.revision for script in _SCRIPTS.walk_revisions()} - {*_SCRIPTS.get_heads()}
)
THEN = "2026-01-02 03:04:05+00:00"
SETTINGS = {
    "model": "tiny",
    "method": {"name": "aisp", "n": 2, "iterations": 3},
    "baselines": [],
    "reward": {"name": "relevance"},
    "max_new_tokens": 8,
    "seed": 0,
    "keep": "best",
    "top_k": 1,
}


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("empty_postgres"))


def fill(connection: Connection) -> None:
    """A job with one prompt that has ended, one that a worker died over, and one that waits."""

    def insert(table: str, **values: object) -> None:
        columns = ", ".join(f'"{name}"' for name in values)
        places = ", ".join(f":{name}" for name in values)
        connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), values)

    insert(
        "jobs", id="job_old", status="running", created_at=THEN, started_at=THEN, body_hash="x",
        request_bytes=9, prompt_count=3, rounds=4, event_seq=0, prompt_tokens=9,
        generated_tokens=4, candidates=1, reward_calls=1, reward_tokens=2, decode_seconds=0.5,
        reward_seconds=0.25, wait_seconds=0, settings=json.dumps(SETTINGS), idempotency_key="k",
    )  # fmt: skip
    insert("groups", id="g", job_id="job_old", woken_at=THEN)
    for index, (status, lease) in enumerate(
        [
            ("failed", {}),
            ("running", {"lease_owner": "dead", "lease_expires_at": THEN}),
            ("queued", {}),
        ]
    ):
        insert(
            "prompts", job_id="job_old", prompt_id=f"p{index}", index=index, group_id="g",
            status=status, fence=index, attempt=0, rounds_done=0, prompt_tokens=3,
            item=json.dumps({"id": f"p{index}", "prompt": "tea"}),
            error=json.dumps("too long") if status == "failed" else None, **lease,
        )  # fmt: skip
    insert(
        "iterations", job_id="job_old", prompt_id="p1", arm=0, k=1, final=False, n=1, tokens=4,
        reward_calls=1, reward_tokens=2, mean=1.5, std=0, best=1.5, best_so_far=1.5,
        decode_seconds=0, reward_seconds=0, wait_seconds=0, rewards="[1.5]", weights="[1.0]",
        finish='["stop"]',
    )  # fmt: skip
    insert(
        "candidates", job_id="job_old", prompt_id="p1", arm=0, iteration=1, sample=0, place=0,
        reward=1.5, finish_reason="stop", token_ids="[1]", text='"tea"',
    )  # fmt: skip


@pytest.mark.parametrize("revision", EARLIER)
def test_jobs_of_an_earlier_version_are_read_and_go_on(
    revision: str,
    empty_url: str,
    round_: Callable[..., Iteration],
    outcome: Callable[..., Result],
) -> None:
    engine = make_engine(empty_url)
    config = db.schema._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, revision)
        fill(connection)
        if revision == "0014":  # what it writes of each job, and earlier ones did not have
            connection.exec_driver_sql("UPDATE jobs SET model = 'tiny', served_at = created_at")
    migrate(engine)
    check(engine)
    store = sessions(engine)
    with reading(store) as session:
        kept = session.get_one(JobRow, "job_old")
        assert (kept.model, kept.priority, kept.served_at) == ("tiny", 1, kept.created_at)
        before = jobs.view(session, "job_old")
        (row,) = trace.rows(session, "job_old", "p1", 0)
        (failed, *_), _ = results.page(session, "job_old", limit=9, cursor=None)
        listed, _ = jobs.listing(session, status=None, limit=9, cursor=None, project="default")
    assert before is not None
    assert (before.status, before.usage.generated_tokens) == ("running", 4)
    assert (row.k, row.rewards, failed.error) == (1, (1.5,), "too long")
    assert [job.id for job in listed] == ["job_old"]
    with store.begin() as session:
        assert outbox.due(session, older_than_seconds=1) == ["g"]
        claim = leases.claim(session, "g", owner="new", model="tiny", ttl_seconds=60)
    assert claim is not None
    assert {prompt.prompt_id: prompt.fence for prompt in claim.prompts} == {"p1": 2, "p2": 3}
    with store.begin() as session:
        trace.append(session, claim, "p1", 0, round_(2), [])
        for prompt_id in ("p1", "p2"):
            results.finish(session, claim, prompt_id, outcome(prompt_id))
    with reading(store) as session:
        after = jobs.view(session, "job_old")
        assert [one.k for one in trace.rows(session, "job_old", "p1", 0)] == [1, 2]
    assert after is not None
    assert (after.status, after.counts.succeeded, after.counts.failed) == ("partial", 2, 1)
    engine.dispose()
