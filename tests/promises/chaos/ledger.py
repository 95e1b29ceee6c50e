"""Every change of a fencing token, written down by the database itself while the run lasts."""

from __future__ import annotations

from collections import defaultdict

from sqlalchemy import Engine, text

_TABLE = {
    "sqlite": "CREATE TABLE chaos_fences (id INTEGER PRIMARY KEY, what TEXT, old BIGINT, new BIGINT)",
    "postgresql": "CREATE TABLE chaos_fences (id BIGSERIAL PRIMARY KEY, what TEXT, old BIGINT, new BIGINT)",
}
_KEYS = {"prompts": "job_id || '/' || {row}.prompt_id", "ownerships": "name"}


def install(engine: Engine) -> None:
    """From now on each change of a fence is a row, in the transaction that changes it."""
    kind = engine.dialect.name
    with engine.begin() as connection:
        connection.execute(text(_TABLE[kind]))
        for table, key in _KEYS.items():
            what = "NEW." + key.format(row="NEW")
            insert = (
                "INSERT INTO chaos_fences (what, old, new) "
                f"VALUES ('{table} ' || {what}, OLD.fence, NEW.fence);"
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
