"""The JSON schema of a job's body, along which errors are followed to their fields."""

from __future__ import annotations

from functools import cache
from typing import Any

from prelogit.wire.jobs import JobRequest


@cache
def job_schema() -> dict[str, Any]:
    """The JSON schema of a job's body."""
    return JobRequest.model_json_schema()


@cache
def settings_schema() -> dict[str, Any]:
    """The same without the prompts: of the first line, where a job comes as lines."""
    schema = job_schema()
    known = {name: node for name, node in schema["properties"].items() if name != "prompts"}
    return {**schema, "properties": known, "required": []}
