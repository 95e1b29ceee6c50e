"""What FastAPI cannot see by itself: bodies read by hand, and the forms of refusals."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from prelogit.wire.problem import Problem
from prelogit.wire.schemas import REF, add_schema
from reward_service.compat.paths import PATHS
from reward_service.compat.protocol import Protocol
from reward_service.compat.vllm_score import VLLM_SCORE
from reward_service.errors import MEDIA_TYPE

_REFUSED = {"description": "Refused, in the protocol's own form.", "content": {"*/*": {}}}
_WHICH = {
    "name": "reward",
    "in": "query",
    "description": "Which of several rewards, where the body names none.",
    "schema": {"type": "string"},
}


def install(app: FastAPI) -> None:
    """Completes ``/openapi.json``."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title, version=app.version, summary=app.summary, routes=app.routes
    )
    schemas = document.setdefault("components", {}).setdefault("schemas", {})
    add_schema(schemas, "Problem", Problem.model_json_schema())
    for path, protocols in PATHS.items():
        for protocol in protocols:
            add_schema(schemas, _name(protocol), protocol.body.model_json_schema())
        bodies = [{"$ref": f"{REF}{_name(protocol)}"} for protocol in protocols]
        _describe(document["paths"][path]["post"], bodies)
    # vLLM has that path too.
    own = document["paths"]["/v1/score"]["post"]["requestBody"]["content"]["application/json"]
    own["schema"] = {"anyOf": [own["schema"], {"$ref": f"{REF}{_name(VLLM_SCORE)}"}]}
    _refuses(document["paths"]["/v1/score"]["post"], 400, 404, 413, 422, 500, 502, 503)
    _refuses(document["paths"]["/health/ready"]["get"], 503)
    return document


def _name(protocol: Protocol) -> str:
    return f"{protocol.name}-{protocol.body.__name__}"


def _describe(operation: dict[str, Any], bodies: list[dict[str, str]]) -> None:
    content = {"application/json": {"schema": {"anyOf": bodies}}}
    operation["requestBody"] = {"required": True, "content": content}
    operation["parameters"] = [_WHICH]
    scores = {"description": "The scores, in the protocol's own form."}
    operation["responses"] = {
        "200": {**scores, "content": {"application/json": {"schema": {}}}},
        "4XX": _REFUSED,
        "5XX": _REFUSED,
    }


def _refuses(operation: dict[str, Any], *statuses: int) -> None:
    content = {
        MEDIA_TYPE: {"schema": {"$ref": f"{REF}Problem"}},
        "application/json": {"schema": {}},  # in vLLM's form
    }
    for status in statuses:
        phrase = HTTPStatus(status).phrase
        operation["responses"][str(status)] = {"description": phrase, "content": content}
