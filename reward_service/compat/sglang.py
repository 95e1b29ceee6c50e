"""SGLang: ``POST /classify`` with ``text``, which is whole texts as the model reads them.

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
    Protocol,
    as_list,
    refuse_cut,
    refuse_empty,
)
from reward_service.errors import WAIT_SECONDS


class ClassifyBody(Body):
    """One text or several; ``input_ids`` are those of a tokenizer that nobody names."""

    text: str | list[str] | None = None
    input_ids: object = None
    model: str | None = None


async def answer(body: ClassifyBody, asking: Asking) -> Answer:
    """A list, or a bare object where one bare text was asked for."""
    batcher = asking.find(body.model)
    if body.text is None or body.input_ids is not None:
        raise InputError(
            "give text, and no input_ids: the reward has its own tokenizer", field="text"
        )
    texts = as_list(body.text)
    refuse_empty("text", texts)
    scored = await asking.texts(batcher, texts)
    refuse_cut(scored, allowed=False, cure="raise the reward's max_tokens")
    found = [
        {
            "embedding": [score],
            "meta_info": {"id": uuid4().hex, "prompt_tokens": tokens, "completion_tokens": 0},
        }
        for score, tokens in zip(scored.scores, scored.tokens, strict=True)
    ]
    return Answer(found[0] if isinstance(body.text, str) else found, scored)


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
