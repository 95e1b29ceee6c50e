"""What FastAPI cannot see by itself: bodies read by hand, problem documents, streams."""

from __future__ import annotations

from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from api.errors import MEDIA_TYPE
from api.jobs.schema import job_schema
from api.links import add_links
from prelogit.wire.keys import KeyRequest
from prelogit.wire.problem import Problem
from prelogit.wire.schemas import REF, add_schema

WHEN = {
    400: "The request broke off.",
    401: "No API key was sent, or none that opens anything.",
    403: "The API key does not have the scope that this needs.",
    404: "Not known here, or of another project.",
    409: "The job's state does not allow it.",
    413: "The body is larger than this installation accepts.",
    415: "The body does not call itself JSON.",
    422: "The problem names every field that cannot be accepted, and the cure.",
    429: "The key has asked too often, or too much of it waits: Retry-After says for how long.",
    500: "The gateway failed; the problem carries a number that its log knows.",
    503: "The store, or a part that the answer needs, is not there.",
}
JOB_EXAMPLES: dict[str, Any] = {
    "smallest": {
        "summary": "Only prompts are required",
        "value": {"prompts": ["How do I sleep better?"]},
    },
    "compared": {
        "summary": "With both forms of best-of-n beside it, at equal samples",
        "value": {
            "prompts": [
                "How do I sleep better?",
                {"id": "p2", "messages": [{"role": "user", "content": "Explain tides."}]},
            ],
            "method": {"name": "aisp", "n": 16, "iterations": 8, "sigma2": 0.5},
            "baselines": [{"name": "bon"}, {"name": "bon", "noise": "gaussian"}],
            "reward": {"name": "relevance"},
            "max_new_tokens": 64,
            "seed": 0,
        },
    },
}
JOB_LINES = {
    "type": "string",
    "description": "For very many prompts: on the first line the job without its prompts, {} where "
    "all has its default; on each further line one prompt, as `prompts` would have it.",
    "example": '{"max_new_tokens": 32}\n"How do I sleep better?"\n{"id": "tea", "prompt": "How do I '
    'make tea?"}\n',
}
JOB_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "application/json": {"schema": {"$ref": f"{REF}JobRequest"}, "examples": JOB_EXAMPLES},
            "application/x-ndjson": {"schema": JOB_LINES},
        },
    }
}
KEY_BODY: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {"application/json": {"schema": {"$ref": f"{REF}KeyRequest"}}},
    }
}
ALWAYS = {401, 403, 429, 500, 503}  # what every route may answer with
NEEDS_NO_KEY = ("/health/live",)

Responses = dict[int | str, dict[str, Any]]


def problems(*statuses: int) -> Responses:
    """The ``responses`` of a route that may answer with these problems (and with ``ALWAYS``)."""
    return {
        status: {
            "description": WHEN[status],
            "content": {MEDIA_TYPE: {"schema": {"$ref": f"{REF}Problem"}}},
        }
        for status in sorted({*statuses, *ALWAYS})
    }


def stream(media_type: str, description: str, schema: dict[str, Any]) -> dict[str, Any]:
    """A 200 that is streamed; ``schema`` describes the whole text."""
    return {"description": description, "content": {media_type: {"schema": schema}}}


def install(app: FastAPI) -> None:
    """Completes ``/openapi.json``."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    add_schema(schemas, "JobRequest", job_schema())
    add_schema(schemas, "KeyRequest", KeyRequest.model_json_schema())
    add_schema(schemas, "Problem", Problem.model_json_schema())
    _secure(document, required=app.state.settings.keys_required)
    add_links(document)
    return document


def _secure(document: dict[str, Any], *, required: bool) -> None:
    """Says that keys are sent, and where none is needed."""
    document["components"]["securitySchemes"] = {
        "ApiKey": {
            "type": "http",
            "scheme": "bearer",
            "description": "An API key, plk_…: `prelogit keys create` makes one.",
        }
    }
    with_key: dict[str, list[str]] = {"ApiKey": []}
    document["security"] = [with_key] if required else [{}, with_key]
    for path in NEEDS_NO_KEY:
        for operation in document["paths"][path].values():
            operation["security"] = []
