"""``/v1/jobs/{id}/deliveries``: what the job's webhook was told, and what was not."""

from __future__ import annotations

from fastapi import APIRouter
from pydantic import BaseModel

from api.deps import Here
from api.jobs.routes import Cursor, Limit
from api.openapi import problems
from api.results import service
from db import deliveries
from db.session import reading
from prelogit.wire.webhook import Delivery

router = APIRouter(prefix="/v1/jobs/{job_id}", tags=["jobs"])


class DeliveryPage(BaseModel):
    """Events of a job's webhook, oldest first; ``next_cursor`` is null on the last page."""

    data: list[Delivery]
    next_cursor: str | None


@router.get("/deliveries", summary="What the job's webhook was told", responses=problems(404, 422))
def listing(job_id: str, here: Here, limit: Limit = 20, cursor: Cursor = None) -> DeliveryPage:
    """Each event with its attempts, the receiver's last status, and when it is tried again."""
    with reading(here.store) as session:
        service.known_job(session, job_id)
        page, following = deliveries.listing(session, job_id, limit=limit, cursor=cursor)
    return DeliveryPage(data=page, next_cursor=following)
