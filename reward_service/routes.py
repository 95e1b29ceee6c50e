"""``POST /v1/score``, ``GET /v1/rewards`` and the health of the reward service."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.reward import Scored
from prelogit.wire.problem import FieldProblem
from prelogit.wire.scores import RewardInfo, ScoreRequest, ScoreResponse
from reward_service.errors import ProblemError, make_problem
from reward_service.hosting import Hosting

CLIENT_CLOSED_REQUEST = 499

router = APIRouter()


def hosting_of(request: Request) -> Hosting:
    """The app's rewards."""
    hosting = request.app.state.hosting
    assert isinstance(hosting, Hosting)  # noqa: S101  # set by create_app
    return hosting


Hosted = Annotated[Hosting, Depends(hosting_of)]


@router.post("/v1/score", response_model=ScoreResponse)
async def score(body: ScoreRequest, request: Request, hosting: Hosted) -> Any:
    """One finite float for each response, in the order of the request; larger is better."""
    batcher = hosting.find(body.reward)
    _refuse_half_characters(body)
    conversations = [
        [{"role": message.role, "content": message.content} for message in conversation]
        for conversation in body.conversations
    ]
    scored = await _unless_gone(request, batcher.submit(conversations, body.responses))
    if scored is None:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    return ScoreResponse(
        scores=scored.scores,
        reward=batcher.hosted.name,
        fingerprint=batcher.hosted.fingerprint,
        tokens=sum(scored.tokens),
        truncated=scored.truncated,
    )


@router.get("/v1/rewards")
async def rewards(hosting: Hosted) -> list[RewardInfo]:
    """The hosted rewards; the fingerprint is null until a model is loaded."""
    return hosting.infos()


@router.get("/health/live")
async def live() -> dict[str, str]:
    """The process answers."""
    return {"status": "live"}


@router.get("/health/ready")
async def ready(hosting: Hosted) -> dict[str, Any]:
    """All models are loaded; else 503, which names each that is not, and why."""
    faults = hosting.faults()
    if faults:
        raise ProblemError(
            make_problem(
                503,
                "; ".join(f"the reward {name!r}: {why}" for name, why in faults.items()),
                errors=[FieldProblem(field=name, message=why) for name, why in faults.items()],
            ),
            retry=True,
        )
    return {"status": "ready", "rewards": [info.name for info in hosting.infos()]}


def _refuse_half_characters(body: ScoreRequest) -> None:
    r"""JSON can say ``"\ud800"``, half of a surrogate pair, which no tokenizer takes.

    Raises: InputError: names the first field with one.
    """
    texts = [
        (f"conversations.{place}.{turn}.content", message.content)
        for place, conversation in enumerate(body.conversations)
        for turn, message in enumerate(conversation)
    ]
    texts += [(f"responses.{place}", text) for place, text in enumerate(body.responses)]
    for field, text in texts:
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"{field} is not Unicode text (character {error.start} is half of a surrogate pair)",
                field=field,
            ) from None


async def _unless_gone(request: Request, work: Coroutine[Any, Any, Scored]) -> Scored | None:
    """The scores, or None when the client has gone: then nobody's time is spent on it.

    A client that gives up after its timeout asks again; without this, its first request
    would still be scored before the second.
    """
    scoring = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(_disconnect(request))
    try:
        await asyncio.wait((scoring, leaving), return_when=asyncio.FIRST_COMPLETED)
        return scoring.result() if scoring.done() else None
    finally:
        scoring.cancel()
        leaving.cancel()


async def _disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
