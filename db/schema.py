"""Brings a database to the tables that this version needs, and says when it is not there."""

from __future__ import annotations

from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import text
from sqlalchemy.exc import SQLAlchemyError

from db.trouble import refuses_writes, trouble
from prelogit.core.errors import StoreError

if TYPE_CHECKING:
    from sqlalchemy import Connection, Engine

# Any number that no other program on the same PostgreSQL uses ("prelogit" in ASCII).
_ADVISORY_LOCK = 0x7072656C6F676974
# Alembic keeps the running migration in module globals.
_ONE_AT_A_TIME = Lock()


def migrate(engine: Engine) -> None:
    """Upgrade the database to the newest tables; safe when several processes start at once.

    The whole upgrade is one transaction, under an advisory lock on PostgreSQL and under the
    write lock on SQLite. Makes the folder of a SQLite file. Raises StoreError.
    """
    if engine.dialect.name == "sqlite":
        folder = Path(engine.url.database or "").parent
        try:
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        except OSError:
            raise StoreError(
                "the folder of the SQLite database cannot be made: correct "
                "PRELOGIT_DATABASE_URL or the folder's permissions"
            ) from None
    try:
        with _ONE_AT_A_TIME, engine.begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(
                    text("SELECT pg_advisory_xact_lock(:key)"), {"key": _ADVISORY_LOCK}
                )
            config = _config()
            if _revisions(connection) <= _known(config):
                config.attributes["connection"] = connection
                command.upgrade(config, "head")
    except SQLAlchemyError as error:
        raise StoreError(_unreachable(engine, error)) from None


def check(engine: Engine) -> None:
    """Raise StoreError with a cure unless the database answers and its tables are up to date."""
    try:
        with engine.connect().execution_options(prelogit_reading=True) as connection:
            found = _revisions(connection)
    except SQLAlchemyError as error:
        raise StoreError(_unreachable(engine, error)) from None
    config = _config()
    if found - _known(config):
        raise StoreError(
            "the database was made by a newer version of Prelogit: install that version, or "
            "point PRELOGIT_DATABASE_URL at another database"
        )
    if found != set(ScriptDirectory.from_config(config).get_heads()):
        raise StoreError(
            "the tables of the database are not up to date: start the gateway, which upgrades "
            "them, before anything else"
        )


def _config() -> Config:
    config = Config()
    # Relative to this file: the package may lie anywhere. "%" would start an interpolation.
    folder = str(Path(__file__).with_name("migrations")).replace("%", "%%")
    config.set_main_option("script_location", folder)
    return config


def _revisions(connection: Connection) -> set[str]:
    return set(MigrationContext.configure(connection).get_current_heads())


def _known(config: Config) -> set[str]:
    scripts = ScriptDirectory.from_config(config)
    return {script.revision for script in scripts.walk_revisions()}


def _unreachable(engine: Engine, error: SQLAlchemyError) -> str:
    sqlite = engine.dialect.name == "sqlite"
    where = f"PostgreSQL at {engine.url.host or 'localhost'}:{engine.url.port or 5432}"
    named = "the SQLite database" if sqlite else where
    if refuses_writes(error):
        return f"{named} cannot be used: {trouble(error)}"
    cure = (
        "correct PRELOGIT_DATABASE_URL, or the permissions and free space of its folder"
        if sqlite
        else "start it, or correct PRELOGIT_DATABASE_URL"
    )
    return f"{named} cannot be used ({type(error).__name__}): {cure}"
