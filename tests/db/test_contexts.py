"""The trace of a group: stored with it, and unknown to databases of before."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic import command
from sqlalchemy import inspect, text

import db.schema
from db import contexts
from db.session import check, make_engine, migrate, reading, sessions
from tests.workers.stack import post_job

TRACE = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_groups_keep_the_trace_that_queued_them_last(store_url: str) -> None:
    engine = make_engine(store_url)
    store = sessions(engine)
    (mine,), (other,) = (post_job(store, "tiny", ["a"]).group_ids for _ in range(2))
    for told in (TRACE, TRACE.replace("b7", "c8"), None):
        with store.begin() as session:
            contexts.remember(session, [mine], told)
        with reading(store) as session:
            assert contexts.of_group(session, mine) == told
            assert contexts.of_group(session, other) is None
            assert contexts.of_group(session, "no group") is None
    engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A database without tables."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'store.db'}"
    return str(request.getfixturevalue("empty_postgres"))


def test_groups_from_before_have_no_trace(empty_url: str) -> None:
    engine = make_engine(empty_url)
    store = sessions(engine)
    migrate(engine)
    config = db.schema._config()
    (group,) = post_job(store, "tiny", ["a"]).group_ids
    with engine.begin() as connection:
        config.attributes["connection"] = connection
        command.downgrade(config, "0013")
        assert "traceparent" not in {
            one["name"] for one in inspect(connection).get_columns("groups")
        }
        assert connection.execute(text("SELECT count(*) FROM groups")).scalar() == 1
    migrate(engine)
    check(engine)
    with reading(store) as session:
        assert contexts.of_group(session, group) is None
    engine.dispose()
