"""The OpenAPI document is complete, and the gateway keeps what it says."""

from __future__ import annotations

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import booleans
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.api.conftest import Start
from tests.api.running import Running, Valkey, eventually, woken
from tests.api.worker import Worker

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    unsupported_method,
]


@pytest.mark.parametrize("mode", list(GenerationMode))
def test_every_answer_is_as_described(
    start: Start, own_valkey: Valkey, mode: GenerationMode
) -> None:
    gateway = start(redis_url=own_valkey.url)
    worker = Worker(gateway.inside.store)
    worker.beat(gateway.settings.model)
    ended = gateway.job({"prompts": ["a", "b"]})["id"]
    (group,) = eventually(lambda: woken(own_valkey.url, gateway.settings.model))
    worker.run(worker.claim(group))
    queued = gateway.job()["id"]
    schema = schemathesis.openapi.from_url(f"{gateway.client.base_url}/openapi.json")
    seen: set[tuple[str, int]] = set()
    for found in schema.get_all_operations():
        operation = found.ok()
        # An open stream of a queued job would never end.
        endless = operation.path.endswith(("events", "results.jsonl"))
        job_id = ended if endless else queued
        seen |= {(operation.label, status) for status in _call(operation, mode, job_id)}
    if mode is GenerationMode.POSITIVE:
        assert len({label for label, status in seen if status < 300}) >= 12, sorted(seen)


def _call(operation: Any, mode: GenerationMode, job_id: str) -> set[int]:
    """Calls an operation with generated input; half of the calls are about a job that exists."""
    statuses: set[int] = set()

    @settings(max_examples=12, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy(generation_mode=mode), known=booleans())
    def check(case: Any, known: bool) -> None:
        if known and "job_id" in case.path_parameters:
            case.path_parameters["job_id"] = job_id
            if "prompt_id" in case.path_parameters:
                case.path_parameters["prompt_id"] = "p1"
        if isinstance(case.query.get("wait"), int | float):
            case.query["wait"] = 0
        statuses.add(case.call_and_validate(checks=CHECKS).status_code)

    try:
        check()
    except Unsatisfiable:
        # Where every text is a valid input there is nothing to get wrong.
        if mode is not GenerationMode.NEGATIVE:
            raise
    return statuses


def test_problems_are_documented_everywhere(gateway: Running) -> None:
    document = gateway.get("/openapi.json").json()
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            wrong = {s: r for s, r in operation["responses"].items() if s[0] in "45"}
            assert {"500", "503"} <= wrong.keys(), (path, method)
            for answer in wrong.values():
                assert list(answer["content"]) == ["application/problem+json"], (path, method)
            if "{" in path:
                assert "404" in wrong
            assert operation["summary"]


def test_the_body_of_a_job_is_described_with_examples(gateway: Running) -> None:
    document = gateway.get("/openapi.json").json()
    for path in ("/v1/jobs", "/v1/jobs/estimate"):
        body = document["paths"][path]["post"]["requestBody"]["content"]["application/json"]
        assert body["schema"] == {"$ref": "#/components/schemas/JobRequest"}
        for example in body["examples"].values():
            assert gateway.post(example["value"]).status_code == 202
    schemas = document["components"]["schemas"]
    assert schemas["JobRequest"]["required"] == ["prompts"]
    assert schemas["AISP"]["properties"]["n"]["description"]


def test_the_page_for_people_is_there(gateway: Running) -> None:
    answer = gateway.get("/docs")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")


def test_every_address_with_an_id_is_linked_to_an_answer_that_tells_it(gateway: Running) -> None:
    document = gateway.get("/openapi.json").json()
    linked: dict[str, set[str]] = {}
    for operations in document["paths"].values():
        for operation in operations.values():
            for answer in operation["responses"].values():
                for link in answer.get("links", {}).values():
                    linked.setdefault(link["operationId"], set()).update(link["parameters"])
    for path, operations in document["paths"].items():
        for operation in operations.values():
            given = {one["name"] for one in operation.get("parameters", ()) if one["in"] == "path"}
            assert given <= linked.get(operation["operationId"], set()), path
    # And what the expressions point to is there.
    job = gateway.job({"prompts": ["a"]})
    assert job["id"]
    assert job["request"]["prompts"][0]["id"] == "p1"
