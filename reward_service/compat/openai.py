"""Errors and envelopes as OpenAI's protocol has them, which vLLM and infinity follow."""

from __future__ import annotations

import time
from typing import Any
from uuid import uuid4

from fastapi.responses import JSONResponse, Response

from prelogit.rewards.hosted.reward import Scored
from prelogit.wire.problem import Problem
from reward_service.errors import WAIT_SECONDS

TYPES = {
    400: "BadRequestError",
    404: "NotFoundError",
    413: "BadRequestError",
    500: "InternalServerError",
    503: "ServiceUnavailableError",
}
STATUSES = {422: 400, 502: 500}


def refuse(problem: Problem, retry: bool) -> Response:
    """``{"error": {"message", "type", "param", "code"}}``; the code is the status."""
    status = STATUSES.get(problem.status, problem.status)
    found = {
        "message": problem.detail,
        "type": TYPES.get(status, "BadRequestError" if status < 500 else "InternalServerError"),
        "param": problem.errors[0].field if problem.errors else None,
        "code": status,
    }
    return JSONResponse(
        {"error": found},
        status_code=status,
        headers={"retry-after": str(WAIT_SECONDS)} if retry else None,
    )


def envelope(prefix: str, kind: str, model: str, scored: Scored, **found: Any) -> dict[str, Any]:
    """What stands around the numbers: id, model and cost."""
    tokens = sum(scored.long)
    return {
        "id": f"{prefix}-{uuid4().hex}",
        "object": kind,
        "created": int(time.time()),
        "model": model,
        **found,
        "usage": {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0},
    }
