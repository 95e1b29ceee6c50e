"""A store that is full or read-only: a clear answer, nothing lost, and all goes on afterwards."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Engine, event, text

from tests.api.conftest import Start
from tests.api.running import Running, eventually

LARGE = {"prompts": ["and so on " * 20] * 200}


class Spoiled:
    """While it lasts, every connection of a gateway begins with a statement that spoils it."""

    def __init__(self, gateway: Running, statement: str) -> None:
        self._gateway, self._statement = gateway, statement
        self._engine = gateway.inside.engine

    def _spoil(self, dbapi: Any, record: Any) -> None:
        cursor = dbapi.cursor()
        cursor.execute(self._statement)
        cursor.close()
        dbapi.commit()

    def __enter__(self) -> None:
        event.listen(self._engine, "connect", self._spoil)
        self._gateway.renew_connections()

    def __exit__(self, *_: object) -> None:
        event.remove(self._engine, "connect", self._spoil)
        self._gateway.renew_connections()


def run(engine: Engine, statement: str) -> None:
    with engine.begin() as connection:
        connection.execute(text(statement))


def unready(gateway: Running) -> str:
    """What the gateway says of its store where it is asked whether it is ready."""
    return str(gateway.get("/health/ready").json()["parts"]["store"]["problem"])


def read_only(engine: Engine) -> str:
    if engine.dialect.name == "sqlite":
        return "PRAGMA query_only=ON"
    return "SET default_transaction_read_only = on"


def refuses(gateway: Running, statement: str, said: str, mended: str | None = None) -> None:
    """``statement`` spoils each connection; or the store itself, until ``mended`` is run."""
    before, engine = gateway.job(), gateway.inside.engine
    if mended is not None:
        run(engine, statement)
    with Spoiled(gateway, "SELECT 1" if mended is not None else statement):
        refused = gateway.post(LARGE, **{"Idempotency-Key": "large"})
        assert refused.status_code == 503
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["retry-after"]
        assert said in refused.json()["detail"]
        assert gateway.get(f"/v1/jobs/{before['id']}").json()["request"] == before["request"]
        assert said in unready(gateway)
    if mended is not None:
        run(engine, mended)
    accepted = gateway.post(LARGE, **{"Idempotency-Key": "large"})
    assert accepted.status_code == 202
    listed = [job["id"] for job in gateway.get("/v1/jobs").json()["data"]]
    assert listed == [accepted.json()["id"], before["id"]]


def test_a_store_that_is_read_only(gateway: Running) -> None:
    refuses(gateway, read_only(gateway.inside.engine), "the store is read-only")


def test_a_gateway_that_nobody_posts_to_finds_out_too(start: Start) -> None:
    gateway = start(reconcile_seconds=0.1)
    engine = gateway.inside.engine
    assert "read-only" not in unready(gateway)
    with Spoiled(gateway, read_only(engine)):
        eventually(lambda: "the store is read-only" in unready(gateway))


# What PostgreSQL says where its disk is full, without a disk that is.
FULL = """
CREATE FUNCTION full_disk() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file' USING ERRCODE = 'disk_full'; END $$;
CREATE TRIGGER full_disk AFTER INSERT ON prompts EXECUTE FUNCTION full_disk()
"""


def test_a_store_whose_disk_is_full(gateway: Running) -> None:
    engine = gateway.inside.engine
    if engine.dialect.name != "sqlite":
        refuses(gateway, FULL, "the store's disk is full", "DROP FUNCTION full_disk CASCADE")
        return
    with engine.connect().execution_options(prelogit_reading=True) as connection:
        pages = connection.execute(text("PRAGMA page_count")).scalar_one()
    refuses(gateway, f"PRAGMA max_page_count={pages + 4}", "the store's disk is full")
