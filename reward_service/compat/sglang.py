"""SGLang: ``POST /classify`` with ``text`` or ``input_ids``: whole items as the model reads them.

The reward stands in a field called embedding. What is too long is refused, as that server does.
"""

from __future__ import annotations

from uuid import uuid4

from fastapi.responses import JSONResponse, Response

from prelogit.core.errors import InputError
from prelogit.wire.problem import Problem
from reward_service.compat.protocol import (
    Answer,
    Asking,
    Body,
    Items,
    Protocol,
    as_items,
    refuse_cut,
    refuse_empty,
)
from reward_service.errors import WAIT_SECONDS


class ClassifyBody(Body):
    """One item or several; the ids are of the reward's own tokenizer."""

    text: str | list[str] | None = None
    input_ids: list[int] | list[list[int]] | None = None
    model: str | None = None


async def answer(body: ClassifyBody, asking: Asking) -> Answer:
    """A list, or a bare object where one bare item was asked for."""
    batcher = asking.find(body.model)
    given: Items | None = body.text if body.input_ids is None else body.input_ids
    if given is None or (body.text is not None and body.input_ids is not None):
        raise InputError("give either text or input_ids", field="text")
    items = as_items(given)
    refuse_empty("text", items)
    scored = await asking.texts(batcher, items)
    refuse_cut(scored, allowed=False, cure="raise the reward's max_tokens")
    found = [
        {
            "embedding": [score],
            "meta_info": {"id": uuid4().hex, "prompt_tokens": tokens, "completion_tokens": 0},
        }
        for score, tokens in zip(scored.scores, scored.long, strict=True)
    ]
    bare = isinstance(given, str) or isinstance(given[0], int)
    return Answer(found[0] if bare else found, scored)


def refuse(problem: Problem, retry: bool) -> Response:
    """``{"error": {"message": …}}``; 400 for all that the request can cure."""
    status = 400 if problem.status < 500 else problem.status
    return JSONResponse(
        {"error": {"message": problem.detail}},
        status_code=500 if status == 502 else status,
        headers={"retry-after": str(WAIT_SECONDS)} if retry else None,
    )


SGLANG = Protocol(
    "sglang",
    ClassifyBody,
    answer,
    refuse,
    lambda body: "text" in body or "input_ids" in body,
)
