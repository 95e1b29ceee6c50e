"""OpenAPI links: what an answer tells that other requests ask for, such as a job's id.

Made from the document, so that a route which is added is linked without being told.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

METHODS = ("get", "post", "put", "patch", "delete")


class Told(NamedTuple):
    """An answer, and where it tells the parameters of other paths (as runtime expressions)."""

    method: str
    path: str
    status: str
    parameters: Mapping[str, str]


class _Operation(NamedTuple):
    described: dict[str, Any]
    path: frozenset[str]  # the names of its parameters there
    query: frozenset[str]


_OF_A_PAGE = {
    "job_id": "$request.path.job_id",
    "prompt_id": "$response.body#/data/0/prompt_id",
}
TOLD = (
    Told(
        "post",
        "/v1/jobs",
        "202",
        {
            "job_id": "$response.body#/id",
            "prompt_id": "$response.body#/request/prompts/0/id",
        },
    ),
    Told("get", "/v1/jobs", "200", {"job_id": "$response.body#/data/0/id"}),
    Told("get", "/v1/jobs/{job_id}/prompts", "200", _OF_A_PAGE),
    Told("get", "/v1/jobs/{job_id}/results", "200", _OF_A_PAGE),
    Told("post", "/v1/keys", "201", {"key_id": "$response.body#/id"}),
    Told("get", "/v1/keys", "200", {"key_id": "$response.body#/data/0/id"}),
)


def add_links(document: dict[str, Any]) -> None:
    """Writes the links into the document's answers."""
    operations = list(_operations(document))
    for told in TOLD:
        answer = document["paths"][told.path][told.method]["responses"][told.status]
        new = {name for name, value in told.parameters.items() if value.startswith("$response")}
        for one in operations:
            if one.path & new and one.path <= told.parameters.keys():
                _link(answer, one, {name: told.parameters[name] for name in sorted(one.path)})
    for one in operations:
        if "cursor" in one.query:
            same = {name: f"$request.path.{name}" for name in sorted(one.path)}
            following = {**same, "cursor": "$response.body#/next_cursor"}
            _link(one.described["responses"]["200"], one, following, "The next page")


def _operations(document: Mapping[str, Any]) -> Iterator[_Operation]:
    for operations in document["paths"].values():
        for method in METHODS:
            if (described := operations.get(method)) is not None:
                names: dict[str, set[str]] = {"path": set(), "query": set()}
                for parameter in described.get("parameters", ()):
                    names.setdefault(parameter["in"], set()).add(parameter["name"])
                yield _Operation(described, frozenset(names["path"]), frozenset(names["query"]))


def _link(
    answer: dict[str, Any], to: _Operation, parameters: dict[str, str], what: str | None = None
) -> None:
    name = to.described["operationId"]
    answer.setdefault("links", {})[name] = {
        "operationId": name,
        "description": what or to.described["summary"],
        "parameters": parameters,
    }
