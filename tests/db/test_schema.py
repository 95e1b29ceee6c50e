"""Tables, migrations, and the promise that a start never harms the store."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import time
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import inspect, text

import db.schema
from db import jobs, trace
from db.models import Base
from db.session import check, make_engine, migrate, reading, sessions
from prelogit.core.errors import StoreError

ROOT = Path(db.schema.__file__).resolve().parents[1]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'new folder' / 'store.db'}"
    return str(request.getfixturevalue("empty_postgres"))


def test_models_and_migrations_agree(store_url: str) -> None:
    engine = make_engine(store_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True})
        assert compare_metadata(context, Base.metadata) == []
    engine.dispose()


def test_check_is_content_after_migrating_and_names_the_cure_before(empty_url: str) -> None:
    engine = make_engine(empty_url)
    with pytest.raises(StoreError, match=r"start the gateway|correct PRELOGIT_DATABASE_URL"):
        check(engine)
    migrate(engine)
    check(engine)
    migrate(engine)
    check(engine)
    engine.dispose()


def test_a_store_of_a_newer_version_is_left_alone(store_url: str) -> None:
    engine = make_engine(store_url)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    migrate(engine)
    with pytest.raises(StoreError, match="newer version"):
        check(engine)
    engine.dispose()


def test_processes_that_migrate_at_once_all_succeed(empty_url: str, tmp_path: Path) -> None:
    """Run with a copied package, from another folder, as an installed service would."""
    installed = tmp_path / "100% elsewhere"
    installed.mkdir()
    (installed / "db").symlink_to(ROOT / "db")
    (installed / "prelogit").symlink_to(ROOT / "prelogit")
    program = textwrap.dedent(
        """
        import sys, time
        from db.session import check, make_engine, migrate
        engine = make_engine(sys.argv[1])
        time.sleep(max(0.0, float(sys.argv[2]) - time.time()))
        migrate(engine)
        check(engine)
        """
    )
    start = str(time.time() + 2)
    racing = [
        subprocess.Popen(
            [sys.executable, "-P", "-c", program, empty_url, start],
            env={"PYTHONPATH": str(installed), "PYTHONDONTWRITEBYTECODE": "1"},
            cwd=tmp_path,
            stderr=subprocess.PIPE,
        )
        for _ in range(4)
    ]
    errors = [process.communicate()[1].decode() for process in racing]
    assert [process.returncode for process in racing] == [0] * 4, errors


def test_a_store_of_the_first_version_is_opened_with_its_jobs(empty_url: str) -> None:
    engine = make_engine(empty_url)
    if engine.dialect.name == "sqlite":
        Path(str(engine.url.database)).parent.mkdir(parents=True)
    config = db.schema._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.upgrade(config, "0001")

        def insert(table: str, **values: object) -> None:
            columns = ", ".join(f'"{name}"' for name in values)
            places = ", ".join(f":{name}" for name in values)
            connection.execute(text(f"INSERT INTO {table} ({columns}) VALUES ({places})"), values)

        then = "2026-01-02 03:04:05+00:00"
        insert(
            "jobs", id="job_old", status="succeeded", created_at=then, body_hash="x",
            request_bytes=9, prompt_count=1, rounds=1, event_seq=0, prompt_tokens=3,
            generated_tokens=4, candidates=1, reward_calls=1, reward_tokens=2, decode_seconds=0.5,
            reward_seconds=0.25, wait_seconds=0, settings='{"model":"tiny","baselines":[]}',
        )  # fmt: skip
        insert("groups", id="g", job_id="job_old", woken_at=then)
        insert(
            "prompts", job_id="job_old", prompt_id="p1", index=0, group_id="g",
            status="succeeded", fence=1, attempt=0, rounds_done=1, prompt_tokens=3, item="{}",
        )  # fmt: skip
        insert(
            "iterations", job_id="job_old", prompt_id="p1", arm=0, k=1, final=True, n=1, tokens=4,
            reward_calls=1, reward_tokens=2, mean=1.5, std=0, best=1.5, best_so_far=1.5,
            decode_seconds=0, reward_seconds=0, wait_seconds=0, rewards="[1.5]", weights="[1.0]",
            finish='["stop"]',
        )  # fmt: skip
        insert(
            "candidates", job_id="job_old", prompt_id="p1", arm=0, iteration=1, sample=0, place=0,
            reward=1.5, finish_reason="stop", token_ids="[1]", text='"tea"',
        )  # fmt: skip
    with pytest.raises(StoreError, match="not up to date"):
        check(engine)
    migrate(engine)
    check(engine)
    with reading(sessions(engine)) as session:
        job = jobs.view(session, "job_old")
        (row,) = trace.rows(session, "job_old", "p1", 0)
        (one,) = trace.kept(session, "job_old", "p1", 0)
    assert job is not None
    assert (job.status, job.usage.generated_tokens, job.engine) == ("succeeded", 4, None)
    assert (row.rewards, row.chosen, row.guided) == ((1.5,), None, None)
    assert (row.held_out, row.diversity, one.text, one.held_out) == (None, None, "tea", None)
    engine.dispose()


def test_downgrade_removes_every_table(empty_url: str) -> None:
    engine = make_engine(empty_url)
    migrate(engine)
    config = db.schema._config()
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "base")
    assert inspect(engine).get_table_names() == ["alembic_version"]
    engine.dispose()
