"""A start on a disk that is full says so, blames no setting, and works once there is room."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine, text

from db.session import check, make_engine, migrate
from prelogit.core.errors import StoreError
from tests.small_disk import SmallDisk

FULL = "cannot be used: the store's disk is full"


def starts_once_there_is_room(engine: Engine, disk: SmallDisk) -> None:
    disk.fill()
    with pytest.raises(StoreError, match=FULL) as refused:
        migrate(engine)
    assert "PRELOGIT_DATABASE_URL" not in str(refused.value)
    disk.free()
    migrate(engine)
    check(engine)
    engine.dispose()


def test_a_new_file(small_disk: SmallDisk) -> None:
    engine = make_engine(f"sqlite:///{small_disk.folder / 'new.db'}")
    starts_once_there_is_room(engine, small_disk)


def test_new_tables_in_postgresql(small_disk: SmallDisk, postgres_on_small_disk: str) -> None:
    engine = make_engine(postgres_on_small_disk)
    with engine.begin() as connection:
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    starts_once_there_is_room(engine, small_disk)


@pytest.mark.parametrize("store_on_small_disk", ["sqlite"], indirect=True)
def test_a_file_that_nobody_has_open(small_disk: SmallDisk, store_on_small_disk: str) -> None:
    engine = make_engine(store_on_small_disk)
    small_disk.fill()
    with pytest.raises(StoreError, match=FULL):
        check(engine)
    small_disk.free()
    check(engine)
    engine.dispose()
