"""No route shows or touches what belongs to another project. Made from the OpenAPI document, so
that a route which is added is tested without being told."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import httpx
import pytest
from starlette.routing import Route

from api.keys.gate import PAGES
from tests.api.conftest import Start
from tests.api.keyed import client_of, make_key
from tests.api.running import Running
from tests.api.worker import Worker

MARK = "zebra-4711"  # stands in all that is planted
UNKNOWN = "none-there"
BODY = {
    "prompts": [{"id": MARK, "prompt": f"tell {MARK}"}],
    "metadata": {"of": MARK},
    "top_k": 1,
}


class Planted(NamedTuple):
    """A gateway with an ended job and a key of the project MARK, and who may ask for them."""

    gateway: Running
    ids: dict[str, str]  # of what was planted, by the name of the path's parameter
    owner: httpx.Client
    stranger: httpx.Client


@pytest.fixture
def planted(start: Start) -> Iterator[Planted]:
    gateway = start(api_keys_required=True)
    own = make_key(gateway, project=MARK, scopes=["admin"])
    other = make_key(gateway, project="elsewhere", scopes=["admin"])
    with client_of(gateway, own) as owner, client_of(gateway, other) as stranger:
        headers = {"Idempotency-Key": "shared"}
        job = owner.post("/v1/jobs", json=BODY, headers=headers)
        assert job.status_code == 202, job.text
        Worker(gateway.inside.store).run_all()
        ids = {"job_id": job.json()["id"], "prompt_id": MARK, "key_id": own.id}
        yield Planted(gateway, ids, owner, stranger)


def routes(gateway: Running) -> list[tuple[str, str]]:
    """Method and template of every operation."""
    document = gateway.app.openapi()
    return [
        (method.upper(), path)
        for path, operations in document["paths"].items()
        for method in operations
    ]


def filled(template: str, ids: dict[str, str]) -> str:
    """The path of what was planted. A KeyError means: plant something for that new parameter."""
    return re.sub(r"\{(\w+)\}", lambda found: ids[found[1]], template)


def ask(client: httpx.Client, method: str, path: str) -> httpx.Response:
    return client.request(method, path, json={} if method in ("POST", "PUT", "PATCH") else None)


def seen(text: str, ids: dict[str, str]) -> bool:
    return any(one in text for one in (MARK, *ids.values()))


def test_what_was_planted_is_there_for_its_owner(planted: Planted) -> None:
    """Else the tests below would be content with anything."""
    for method, template in routes(planted.gateway):
        if method == "GET" and "{" in template:
            answer = ask(planted.owner, method, filled(template, planted.ids))
            assert answer.status_code == 200, (template, answer.text)
    for listing in ("/v1/jobs", "/v1/keys"):
        assert seen(planted.owner.get(listing).text, planted.ids)


def test_another_project_s_things_are_not_there_in_any_route(planted: Planted) -> None:
    nothing = dict.fromkeys(planted.ids, UNKNOWN)
    asked = 0
    for method, template in routes(planted.gateway):
        if "{" not in template:
            continue
        asked += 1
        answer = ask(planted.stranger, method, filled(template, planted.ids))
        assert answer.status_code == 404, (method, template, answer.text)
        # In the very words for what was never there.
        same = ask(planted.stranger, method, filled(template, nothing))
        assert same.status_code == 404
        told = answer.text
        for one in planted.ids.values():
            told = told.replace(one, UNKNOWN)
        assert told == same.text, (method, template)
    assert asked >= 11
    # And nothing has happened to them.
    job = planted.owner.get(f"/v1/jobs/{planted.ids['job_id']}").json()
    assert job["status"] == "succeeded"
    (key,) = planted.owner.get("/v1/keys").json()["data"]
    assert key["revoked_at"] is None


def test_no_listing_shows_another_project_s_things(planted: Planted) -> None:
    listings = 0
    for method, template in routes(planted.gateway):
        if "{" not in template:
            answer = ask(planted.stranger, method, template)
            assert not seen(answer.text, planted.ids), (method, template)
            listings += 1
    assert listings >= 11
    estimate = planted.stranger.post("/v1/jobs/estimate", json=BODY).json()
    assert estimate["seconds"] is None  # it would tell how fast the other's jobs were
    assert planted.owner.post("/v1/jobs/estimate", json=BODY).json()["seconds"] is not None


def test_idempotency_keys_are_of_a_project(planted: Planted) -> None:
    headers = {"Idempotency-Key": "shared"}
    again = planted.owner.post("/v1/jobs", json=BODY, headers=headers)
    assert again.json()["id"] == planted.ids["job_id"]
    body: dict[str, Any] = {"prompts": ["another"]}
    other = planted.stranger.post("/v1/jobs", json=body, headers=headers)
    assert other.status_code == 202, other.text
    assert other.json()["id"] != planted.ids["job_id"]


def test_a_key_of_every_project_sees_all(planted: Planted) -> None:
    everywhere = make_key(planted.gateway, project="*", scopes=["read"])
    with client_of(planted.gateway, everywhere) as client:
        assert seen(client.get("/v1/jobs").text, planted.ids)
        assert client.get(f"/v1/jobs/{planted.ids['job_id']}").status_code == 200


def test_every_route_is_guarded(planted: Planted) -> None:
    """What is no route of FastAPI's own would pass the gate, but not the guard."""
    for route in planted.gateway.app.routes:
        if type(route).__module__.startswith("starlette."):
            assert isinstance(route, Route), route
            assert route.path in PAGES, route
    with httpx.Client(base_url=planted.gateway.client.base_url) as nobody:
        for method, template in routes(planted.gateway):
            answer = ask(nobody, method, filled(template, planted.ids))
            open_to_all = template == "/health/live"
            assert answer.status_code == (200 if open_to_all else 401), (method, template)
