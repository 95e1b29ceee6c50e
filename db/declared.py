"""What every table is declared from."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy.orm import DeclarativeBase

from db.columns import Json, Key, Real, UtcTime


class Base(DeclarativeBase):
    """Declarative base; plain annotations map to the column types of this store."""

    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it from the class
        str: Key,
        float: Real,
        datetime: UtcTime,
        dict[str, Any]: Json,
        Any: Json,
        list[Any]: Json,
    }
