"""A judge's grade: the schema that it is held to, and the grade in what it said."""

from __future__ import annotations

import json
from typing import Any

GRADES = range(1, 11)

SCHEMA: dict[str, Any] = {
    "type": "json_schema",
    "json_schema": {
        "name": "grade",
        "strict": True,
        "schema": {
            "type": "object",
            "properties": {
                "reason": {"type": "string"},
                "grade": {"type": "integer", "enum": list(GRADES)},
            },
            "required": ["reason", "grade"],
            "additionalProperties": False,
        },
    },
}


def grade_in(said: str) -> float | None:
    """The grade of the last JSON object that has one; None: there is none, or not from 1 to 10."""
    decoder = json.JSONDecoder()
    found: object = None
    place = said.find("{")
    while place >= 0:
        try:
            document, end = decoder.raw_decode(said, place)
        except (ValueError, RecursionError):
            end = place + 1
        else:
            if isinstance(document, dict) and "grade" in document:
                found = document["grade"]
        place = said.find("{", end)
    if isinstance(found, bool) or not isinstance(found, (int, float)):
        return None
    return float(found) if GRADES[0] <= found <= GRADES[-1] else None
