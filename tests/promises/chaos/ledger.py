"""Every change of a fencing token, written down by the database itself while the run lasts: with it
which prompts were claimed alone, for their workers had died before."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Engine, text

from db.leases import SUSPECT_ATTEMPTS

_TABLE = {
    "sqlite": "CREATE TABLE chaos_fences (id INTEGER PRIMARY KEY, what TEXT, old BIGINT, new BIGINT, attempt BIGINT)",
    "postgresql": "CREATE TABLE chaos_fences (id BIGSERIAL PRIMARY KEY, what TEXT, old BIGINT, new BIGINT, attempt BIGINT)",
}
_KEYS = {"prompts": "job_id || '/' || {row}.prompt_id", "ownerships": "name"}


def install(engine: Engine) -> None:
    """From now on each change of a fence is a row, in the transaction that changes it."""
    kind = engine.dialect.name
    with engine.begin() as connection:
        connection.execute(text(_TABLE[kind]))
        for table, key in _KEYS.items():
            what = "NEW." + key.format(row="NEW")
            attempt = "0" if table == "ownerships" else "NEW.attempt"
            insert = (
                "INSERT INTO chaos_fences (what, old, new, attempt) "
                f"VALUES ('{table} ' || {what}, OLD.fence, NEW.fence, {attempt});"
            )
            head = f"CREATE TRIGGER chaos_{table} AFTER UPDATE ON {table} FOR EACH ROW"
            if kind == "sqlite":
                connection.execute(text(f"{head} WHEN OLD.fence <> NEW.fence BEGIN {insert} END"))
                continue
            connection.execute(
                text(
                    f"CREATE FUNCTION chaos_{table}() RETURNS trigger LANGUAGE plpgsql AS "
                    f"$$ BEGIN {insert} RETURN NEW; END $$"
                )
            )
            connection.execute(
                text(f"{head} WHEN (OLD.fence <> NEW.fence) EXECUTE FUNCTION chaos_{table}()")
            )


def breaches(engine: Engine) -> tuple[int, list[str]]:
    """How many changes there were, and those that were no step forward from the one before."""
    found: list[str] = []
    last: dict[str, int] = defaultdict(int)
    with engine.connect().execution_options(prelogit_reading=True) as connection:
        rows = connection.execute(text("SELECT what, old, new FROM chaos_fences ORDER BY id")).all()
    for what, old, new in rows:
        if new <= old or new <= last[what]:
            found.append(f"the fence of {what} went from {max(old, last[what])} to {new}")
        last[what] = max(last[what], new)
    return len(rows), found


def jobs_with_suspects(engine: Engine) -> set[str]:
    """Jobs of which a prompt was searched apart from its group, as two workers had died over it."""
    query = text("SELECT what FROM chaos_fences WHERE attempt > :most")
    with engine.connect().execution_options(prelogit_reading=True) as connection:
        found = connection.scalars(query, {"most": SUSPECT_ATTEMPTS}).all()
    return {what.split(" ")[1].partition("/")[0] for what in found}
