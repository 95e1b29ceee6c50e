"""``/v1/models``, ``/v1/methods``, ``/v1/rewards``: what this installation offers."""

from __future__ import annotations

from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from api.catalog.methods import Methods, method_entries
from api.catalog.models import ModelEntry, ModelLimits, Models
from api.deps import Here
from api.openapi import problems
from db import presence
from db.session import reading
from prelogit.wire.scores import RewardInfo

router = APIRouter(prefix="/v1", tags=["catalog"])


class Rewards(BaseModel):
    """``GET /v1/rewards``; ``low`` and ``high`` bound a reward that has bounds."""

    object: Literal["list"] = "list"
    data: list[RewardInfo]


@router.get("/models", summary="The model that is served", responses=problems())
def models(here: Here) -> Models:
    """One entry: an installation serves one model. Limits are those of one job."""
    problem = here.text.problem()
    settings = here.settings
    with reading(here.store) as session:
        alive = presence.alive(session, settings.worker_silence_seconds)
    entry = ModelEntry(
        id=settings.model,
        created=int(here.started),
        ready=problem is None,
        problem=problem,
        context_length=None if problem else here.text.load().context_length,
        device=settings.device,
        dtype=settings.dtype,
        workers=sum(worker.model == settings.model for worker in alive),
        limits=ModelLimits(
            prompts=settings.max_prompts,
            max_new_tokens=settings.max_new_tokens,
            samples=settings.max_samples,
            body_bytes=settings.max_body_bytes,
        ),
    )
    return Models(data=[entry])


@router.get("/methods", summary="Methods and their parameters", responses=problems())
def methods() -> Methods:
    """Defaults, ranges and units of every parameter."""
    return Methods(data=method_entries())


@router.get("/rewards", summary="Rewards that a job can name", responses=problems())
def rewards(here: Here) -> Rewards:
    """As the reward service lists them; 503 with the cure while it does not answer."""
    return Rewards(data=here.rewards.listing())
