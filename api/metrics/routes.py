"""``/metrics``: the text that Prometheus reads."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from api.openapi import problems, stream
from prelogit.telemetry.metrics import exposed

router = APIRouter(tags=["health"])

TEXT = stream("text/plain", "Metrics in the text format of Prometheus.", {"type": "string"})
TEXT["content"]["application/openmetrics-text"] = {"schema": {"type": "string"}}


@router.get(
    "/metrics",
    summary="Metrics for Prometheus",
    response_class=Response,
    responses={200: TEXT, **problems()},
)
def metrics(request: Request) -> Response:
    """Of this gateway, and of what it sees in the store and in the queue."""
    text = exposed(request.app.state.registry, request.headers.get("accept", ""))
    return Response(text.body, media_type=text.content_type)
