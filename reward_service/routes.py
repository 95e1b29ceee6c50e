"""``POST /v1/score``, ``GET /v1/rewards`` and the health of the reward service."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Request
from fastapi.responses import Response

from prelogit.telemetry.metrics import exposed
from prelogit.wire.problem import FieldProblem
from prelogit.wire.scores import RewardInfo, ScoreRequest, ScoreResponse
from reward_service.asking import (
    CLIENT_CLOSED_REQUEST,
    hosting_of,
    refuse_half_characters,
    unless_gone,
)
from reward_service.compat.paths import SharedRoute
from reward_service.errors import ProblemError, make_problem
from reward_service.hosting import Hosting

router = APIRouter(route_class=SharedRoute)

Hosted = Annotated[Hosting, Depends(hosting_of)]


@router.post("/v1/score", response_model=ScoreResponse)
async def score(body: ScoreRequest, request: Request, hosting: Hosted) -> Any:
    """One finite float for each response, in the order of the request; larger is better.

    With the header ``Cache-Control: no-cache`` all is read again, whatever is remembered.
    """
    batcher = hosting.find(body.reward)
    refuse_half_characters(_texts(body))
    conversations = [
        [{"role": message.role, "content": message.content} for message in conversation]
        for conversation in body.conversations
    ]
    anew = "no-cache" in request.headers.get("cache-control", "").lower()
    scored = await unless_gone(request, batcher.submit(conversations, body.responses, anew=anew))
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


@router.get("/metrics", response_class=Response)
def metrics(request: Request) -> Response:
    """The text that Prometheus reads."""
    text = exposed(request.app.state.metrics.registry, request.headers.get("accept", ""))
    return Response(text.body, media_type=text.content_type)


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


def _texts(body: ScoreRequest) -> Iterator[tuple[str, str]]:
    for place, conversation in enumerate(body.conversations):
        for turn, message in enumerate(conversation):
            yield f"conversations.{place}.{turn}.content", message.content
    for place, text in enumerate(body.responses):
        yield f"responses.{place}", text
