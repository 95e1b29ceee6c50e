"""Chains of requests that build on each other's answers, along the links of the OpenAPI document.

Each step is sent by anyone: a key of either project with any scopes, no key, or one that opens nothing.
"""

from __future__ import annotations

import copy
import json
import random
from contextlib import suppress
from typing import Any

import schemathesis
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis.errors import Flaky
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.promises.bad_input.house import HOOKS, PROJECTS, Caller, House
from tests.promises.bad_input.tally import Tally

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
]
AT_ONCE = 8
OPEN = ("/health/live",)
FOR_ANY_KEY = ("/v1/models", "/v1/methods", "/v1/rewards", "/v1/values")
# What schemas make seldom: jobs that are taken, so that the links lead somewhere.
JOBS: tuple[dict[str, Any], ...] = (
    {"prompts": ["a", {"id": "named", "messages": [{"role": "user", "content": "b"}]}]},
    {"prompts": ["a"], "keep": "all", "baselines": [{"name": "bon"}]},
    {"prompts": ["a"], "method": {"name": "bon", "n": 2}, "template": "none", "seed": 2**63 - 1},
    {"prompts": ["a"] * 25, "webhook": {"url": f"{HOOKS}/x", "events": ["prompt.ended"]}},
    {"prompts": ["a", "b"], "method": {"n": 2, "iterations": 1}, "budget": {"samples": 8}},
)
KEYS: tuple[dict[str, Any], ...] = (
    {},
    {"scopes": ["admin"]},
    {"scopes": ["read"], "rate_per_minute": 5, "expires_at": "2999-01-01T00:00:00Z"},
    *({"project": project} for project in (*PROJECTS, "*")),
)


def run(house: House, *, chains: int, steps: int, begin: int) -> Tally:
    """Follows links in so many chains of so many steps. ``begin``: the seed."""
    tally = Tally(f"chains along the gateway's links, {steps} steps each")
    schema = schemathesis.openapi.from_dict(_without_security(house))
    schema.config.update(base_url=house.url)
    shared = _Shared(house, tally)

    class Machine(schema.as_state_machine()):  # type: ignore[misc]
        def setup(self) -> None:
            shared.chains += 1

        def before_call(self, case: Any) -> None:
            self.caller = shared.before(case)

        def validate_response(self, response: Any, case: Any, *_: Any, **__: Any) -> None:
            shared.after(self.caller, case, response)

    random.seed(begin)
    while shared.chains < chains:
        # A gateway remembers what befell it, so that the same chain may go on otherwise.
        with suppress(Flaky):
            seed(begin)(Machine).run(settings=_limits(min(AT_ONCE, chains - shared.chains), steps))
        begin += 1
    for line in house.log:
        if (found := house.leak(line)) is not None:
            tally.breach(f"a line of the log tells {found}", line)
    return tally


def _limits(chains: int, steps: int) -> settings:
    return settings(
        max_examples=chains,
        stateful_step_count=steps,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
        deadline=None,
        database=None,
    )


def _without_security(house: House) -> dict[str, Any]:
    """The document, but for what it says of keys: schemathesis would send keys of its own."""
    document: dict[str, Any] = copy.deepcopy(house.gateway.app.openapi())
    del document["security"], document["components"]["securitySchemes"]
    for operations in document["paths"].values():
        for operation in operations.values():
            operation.pop("security", None)
    return document


class _Shared:
    """What all chains know: whose each job and key is."""

    def __init__(self, house: House, tally: Tally) -> None:
        self.house, self.tally = house, tally
        self.chains = 0
        self.owners: dict[str, str] = {}
        self.own_keys = {
            caller.headers["Authorization"].split("_")[1]
            for caller in house.callers
            if caller.project
        }

    def before(self, case: Any) -> Caller:
        """Chooses the caller, and makes of the case what can be waited for."""
        path, given = case.operation.path, case.path_parameters or {}
        owner = self.owners.get(str(given.get("job_id", given.get("key_id"))))
        caller = self._caller(owner)
        case.headers.update(caller.headers)
        if case.query and case.query.get("wait"):
            case.query["wait"] = 0
        if case.operation.label == "POST /v1/jobs":
            self._plant(case, caller)
        elif case.operation.label == "POST /v1/keys" and random.random() < 0.7:
            case.body, case.media_type = dict(random.choice(KEYS)), "application/json"
        elif path.endswith(("/events", "/results.jsonl")):
            # Of a job that goes on the stream would, too.
            self.house.gateway.client.post(
                f"/v1/jobs/{given['job_id']}/cancel", headers=self._admin(owner).headers
            ) if owner else None
            self.house.work()
        elif given.get("key_id") in self.own_keys:
            given["key_id"] = "0" * 12  # the run needs it
        return caller

    def after(self, caller: Caller, case: Any, response: Any) -> None:
        """Holds the answer against what was promised to this caller."""
        label, status = case.operation.label, response.status_code
        self.tally.case(f"{label} {status}")
        text = response.content.decode("utf-8", "replace") + repr(dict(response.headers))
        for wrong in self._wrong(caller, case, response, text):
            asked = f"by {caller.project} {caller.scopes}: {case.as_curl_command()}"
            self.tally.breach(f"{label}: {wrong}", f"{asked}: {status} {text}")
        if label == "POST /v1/jobs" and status == 202 and caller.project:
            self.owners[json.loads(response.content)["id"]] = caller.project
            if random.random() < 0.7:
                self.house.work()
        if label == "POST /v1/keys" and status == 201:
            key = json.loads(response.content)
            self.owners[key["id"]] = key["project"]
            self.house.leaks.secrets.add(key["key"].rsplit("_", 1)[1])

    def _wrong(self, caller: Caller, case: Any, response: Any, text: str) -> list[str]:
        found = []
        path, method, status = case.operation.path, case.method.upper(), response.status_code
        lacking_worker = path == "/health/ready" and status == 503
        try:
            if not lacking_worker:
                case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            found += [f"{type(one).__name__} {one.message}" for one in group.exceptions]
        given = case.path_parameters or {}
        if (leak := self.house.leak(text, *map(str, given.values()))) is not None:
            found.append(f"it tells {leak}")
        scope = _scope(path, method)
        owner = self.owners.get(str(given.get("job_id", given.get("key_id"))))
        if path in OPEN:
            pass
        elif caller.project is None:
            if status != 401:
                found.append("nobody came in")
        elif not caller.may(scope):
            if status != 403:
                found.append(f"this needs {scope}")
        elif status in (401, 403):
            found.append("the key opens this")
        elif owner not in (None, caller.project) and status != 404:
            found.append(f"this is {owner}'s")
        known = " ".join(map(str, given.values()))
        for one, whose in self.owners.items():
            if whose != caller.project and one in text and one not in known:
                found.append(f"it tells of {one}, which is {whose}'s")
        if any(mark in text for mark in PROJECTS if mark != caller.project) and (
            "project" not in str(case.body)
        ):
            found.append("it tells of another project")
        if status == 201 and json.loads(response.content)["project"] != caller.project:
            found.append("a key of another project was made")
        return found

    def _caller(self, owner: str | None) -> Caller:
        drawn = random.random()
        if owner is not None and drawn < 0.65:
            return self._admin(owner)
        if owner is None and drawn < 0.65:
            return self._admin(random.choice(PROJECTS))
        return random.choice(self.house.callers)

    def _admin(self, project: str) -> Caller:
        return next(one for one in self.house.callers if one.project == project)

    def _plant(self, case: Any, caller: Caller) -> None:
        """The project's name stands in every job of it, so that it is seen where it should not."""
        mark = caller.project or "nobody"
        if random.random() < 0.7:
            case.body, case.media_type = copy.deepcopy(random.choice(JOBS)), "application/json"
        if isinstance(case.body, dict):
            case.body = dict(case.body)  # the document's own example may come again
            case.body["metadata"] = {"of": mark}
            if isinstance(case.body.get("prompts"), list):
                case.body["prompts"] = [*case.body["prompts"], f"tell {mark}"]


def _scope(path: str, method: str) -> str | None:
    if path.startswith("/v1/keys"):
        return "admin"
    if path in FOR_ANY_KEY:
        return None
    return "read" if method == "GET" else "submit"
