"""``/health/live`` and ``/health/ready``."""

from __future__ import annotations

from fastapi import APIRouter

from api.deps import Here
from api.errors import ProblemError
from api.health.service import Life, Readiness, look_around
from api.openapi import problems
from prelogit import __version__
from prelogit.wire.problem import FieldProblem

router = APIRouter(prefix="/health", tags=["health"])


@router.get("/live", summary="The process answers", responses=problems())
async def live() -> Life:
    """Looks at nothing else."""
    return Life(version=__version__)


@router.get("/ready", summary="Every part is there", responses=problems())
async def ready(here: Here) -> Readiness:
    """503 when a part is missing; the problem then carries ``ready`` and ``parts`` too."""
    found = await look_around(here)
    wrong = [
        FieldProblem(field=name, message=part.problem)
        for name, part in found.parts.items()
        if part.problem is not None
    ]
    if wrong:
        names = ", ".join(problem.field for problem in wrong)
        raise ProblemError(
            503,
            f"not ready: {names}; first cure: {wrong[0].message}",
            errors=wrong,
            extra=found.model_dump(mode="json"),
            headers={"Retry-After": "5"},
        )
    return found
