"""Every line that is logged of a request says which job and prompt its address names."""

from __future__ import annotations

from fastapi import Request

from prelogit.telemetry.place import enter


async def placed(request: Request) -> None:
    """A dependency of all routes. Not a plain function: that would run in a thread of its own."""
    named = request.path_params
    enter(job=named.get("job_id"), prompt=named.get("prompt_id"))
