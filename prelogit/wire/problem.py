"""Errors as users see them: RFC 9457 problem documents."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel


class FieldProblem(BaseModel):
    """What is wrong with one field, and what is allowed there."""

    field: str
    message: str
    allowed: Any = None


class Problem(BaseModel):
    """``application/problem+json``. Never carries a stack trace, a path or a secret."""

    type: str = "about:blank"
    title: str
    status: int
    detail: str
    errors: list[FieldProblem] = []
