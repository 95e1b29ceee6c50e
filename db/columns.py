"""Column types that keep every value as it was given, on SQLite and on PostgreSQL alike."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import DateTime, Dialect, Double, Text
from sqlalchemy.types import TypeDecorator, TypeEngine, UserDefinedType

# No key that Prelogit makes or accepts holds these, and PostgreSQL or UTF-8 refuse them.
_UNSTORABLE = re.compile("[\x00\ud800-\udfff]")


def dumped(value: Any) -> str:
    """The text that stands for a JSON value in the store: ASCII, floats to the bit."""
    return json.dumps(value, separators=(",", ":"))


class Key(TypeDecorator[str]):
    """Ids, names and states.

    A looked-up key may come from a URL and hold a NUL or half of a surrogate pair; it is
    bound as a text that no stored key equals, so that the lookup finds nothing instead of
    failing.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: str | None, dialect: Dialect) -> str | None:
        return None if value is None else _UNSTORABLE.sub("\x01", value)


class Json(TypeDecorator[Any]):
    """Any JSON value as ASCII text.

    Not the database's own JSON type: PostgreSQL's jsonb refuses NUL in a string and neither
    keeps floats to the bit. Python's repr of a float does, and NUL becomes an escape.
    """

    impl = Text
    cache_ok = True

    def process_bind_param(self, value: Any, dialect: Dialect) -> str | None:
        return None if value is None else dumped(value)

    def process_result_value(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else json.loads(value)


class UtcTime(TypeDecorator[datetime]):
    """A moment: aware in Python, UTC in the database."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError("a time without a zone cannot be stored: use db.session.now()")
        value = value.astimezone(UTC)
        # SQLite stores text without a zone; that text sorts like the times it stands for.
        return value.replace(tzinfo=None) if dialect.name == "sqlite" else value

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class _Untouched(UserDefinedType[float]):
    cache_ok = True

    def get_col_spec(self, **kw: Any) -> str:
        return "BLOB"


class Real(TypeDecorator[float]):
    """A float64, to the bit.

    SQLite keeps whole numbers of a REAL column as integers, which loses the sign of -0.0;
    a column of type BLOB converts nothing.
    """

    impl = Double
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        kind: TypeEngine[Any] = _Untouched() if dialect.name == "sqlite" else Double()
        return dialect.type_descriptor(kind)

    def process_bind_param(self, value: float | None, dialect: Dialect) -> float | None:
        return None if value is None else float(value)
