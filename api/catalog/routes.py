"""``/v1/models``, ``/v1/methods``, ``/v1/rewards``, ``/v1/values``: what this installation offers."""

from __future__ import annotations

from collections import Counter
from typing import Literal

from fastapi import APIRouter
from pydantic import BaseModel

from api.catalog.methods import Methods, method_entries
from api.catalog.models import ModelEntry, ModelLimits, Models, ModelText
from api.catalog.values import ValueList, value_entries
from api.deps import Gateway, Here
from api.openapi import problems
from db import presence
from db.session import reading
from prelogit.wire.scores import RewardInfo

router = APIRouter(prefix="/v1", tags=["catalog"])


class Rewards(BaseModel):
    """``GET /v1/rewards``; ``low`` and ``high`` bound a reward that has bounds."""

    object: Literal["list"] = "list"
    data: list[RewardInfo]


@router.get("/models", summary="Models that a job can name", responses=problems())
def models(here: Here) -> Models:
    """Each with the number of workers that serve it now. Limits are those of one job."""
    with reading(here.store) as session:
        alive = presence.alive(session, here.settings.worker_silence_seconds)
    serving = Counter(worker.model for worker in alive)
    return Models(data=[_entry(here, text, serving[text.name]) for text in here.texts.values()])


def _entry(here: Gateway, text: ModelText, workers: int) -> ModelEntry:
    settings, problem = here.settings, text.problem()
    return ModelEntry(
        id=text.name,
        created=int(here.started),
        default=text.name == settings.model,
        ready=problem is None,
        problem=problem,
        context_length=None if problem else text.load().context_length,
        device=settings.device,
        dtype=settings.dtype,
        workers=workers,
        limits=ModelLimits(
            prompts=settings.max_prompts,
            max_new_tokens=settings.max_new_tokens,
            samples=settings.max_samples,
            body_bytes=settings.max_body_bytes,
            stream_bytes=settings.max_stream_bytes,
        ),
    )


@router.get("/methods", summary="Methods and their parameters", responses=problems())
def methods() -> Methods:
    """Defaults, ranges and units of every parameter."""
    return Methods(data=method_entries())


@router.get("/rewards", summary="Rewards that a job can name", responses=problems())
def rewards(here: Here) -> Rewards:
    """As the reward service lists them; 503 with the cure while it does not answer."""
    return Rewards(data=here.rewards.listing())


@router.get("/values", summary="Value networks that a job can name", responses=problems())
def values(here: Here) -> ValueList:
    """Those in the home folder, each with its model, its reward and its loss curve."""
    return ValueList(data=value_entries(here.settings.home))
