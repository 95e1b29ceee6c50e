"""API keys at the gateway: who comes in, what a key may, and how keys are made and ended."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import update

from api.keys.caller import NOBODY
from db.models import KeyRow
from db.session import now
from tests.api.conftest import Start
from tests.api.keyed import bearing, client_of, make_key
from tests.api.running import Running, eventually
from tests.api.test_submit import assert_problem, fields_of

BODY = {"prompts": ["tell me"]}


@pytest.fixture
def locked(start: Start) -> Running:
    """A gateway that nobody enters without a key."""
    return start(api_keys_required=True)


def get(gateway: Running, path: str, token: str | None = None) -> httpx.Response:
    return gateway.client.get(path, headers={} if token is None else bearing(token))


def changed_last(key: str) -> str:
    return key[:-1] + ("0" if key[-1] != "0" else "1")


def test_a_key_that_opens_nothing_is_answered_always_alike(locked: Running) -> None:
    good, revoked, over = (make_key(locked, scopes=["read"]) for _ in range(3))
    with locked.inside.store.begin() as session:
        moment = now() - timedelta(seconds=1)
        session.execute(update(KeyRow).where(KeyRow.id == revoked.id).values(revoked_at=moment))
        session.execute(update(KeyRow).where(KeyRow.id == over.id).values(expires_at=moment))
    other_id = good.key.replace(good.id, "0" * 12)
    headers: list[dict[str, str]] = [
        {},
        {"Authorization": ""},
        {"Authorization": good.key},
        {"Authorization": f"Basic {good.key}"},
        *map(bearing, ("x", changed_last(good.key), other_id, revoked.key, over.key)),
        bearing(good.key.upper()),
    ]
    answers = [locked.client.get("/v1/jobs", headers=one) for one in headers]
    for answer in answers:
        assert_problem(answer, 401)
        assert answer.headers["www-authenticate"].startswith("Bearer")
    assert len({answer.text for answer in answers}) == 1
    twice = [("Authorization", f"Bearer {good.key}")] * 2
    assert locked.client.get("/v1/jobs", headers=twice).status_code == 401
    assert get(locked, "/v1/jobs", good.key).status_code == 200
    assert get(locked, f"/v1/jobs?key={good.key}").status_code == 401


def test_nothing_but_the_sign_of_life_is_told_to_nobody(locked: Running) -> None:
    assert get(locked, "/health/live").status_code == 200
    for path in ("/health/ready", "/metrics", "/docs", "/redoc", "/openapi.json", "/v1/none", "/"):
        assert_problem(get(locked, path), 401)
    for path in ("/health/live/", "//health/live", "/health/live/../../v1/jobs", "/v1/jobs/"):
        assert get(locked, path).status_code == 401, path
    key = make_key(locked, scopes=["read"]).key
    for path in ("/metrics", "/docs", "/openapi.json"):
        assert get(locked, path, key).status_code == 200
    assert get(locked, "/health/ready", key).status_code == 503  # no worker
    assert_problem(get(locked, "/v1/none", key), 404)


def test_the_pages_of_the_api_can_be_opened_to_all(start: Start) -> None:
    gateway = start(api_keys_required=True, docs_open=True)
    for path in ("/docs", "/openapi.json"):
        assert get(gateway, path).status_code == 200
    assert get(gateway, "/v1/jobs").status_code == 401


def test_the_health_token_opens_the_health_alone(start: Start) -> None:
    gateway = start(api_keys_required=True, health_token="t0ken")
    assert get(gateway, "/metrics", "t0ken").status_code == 200
    assert get(gateway, "/health/ready", "t0ken").status_code == 503
    for path in ("/v1/jobs", "/v1/models", "/docs", "/metrics/", "/v1/keys"):
        assert get(gateway, path, "t0ken").status_code == 401, path
    assert get(gateway, "/metrics", "t0kem").status_code == 401


@pytest.mark.parametrize(
    ("scopes", "statuses"),
    [
        (["read"], (200, 403, 403, 200, 503)),
        (["submit"], (403, 202, 403, 200, 403)),
        (["submit", "read"], (200, 202, 403, 200, 503)),
        (["admin"], (200, 202, 200, 200, 503)),
    ],
)
def test_a_scope_opens_what_it_is_for(
    locked: Running, scopes: list[str], statuses: tuple[int, ...]
) -> None:
    with client_of(locked, make_key(locked, scopes=scopes)) as client:
        answers = (
            client.get("/v1/jobs"),
            client.post("/v1/jobs", json=BODY),
            client.get("/v1/keys"),
            client.get("/v1/methods"),
            client.get("/health/ready"),
        )
        assert tuple(answer.status_code for answer in answers) == statuses
        for answer in answers:
            if answer.status_code == 403:
                assert "scope" in assert_problem(answer, 403)["detail"]
        job = client.post("/v1/jobs/job_none/cancel")
        assert job.status_code == (404 if {"submit", "admin"} & set(scopes) else 403)


def test_where_no_key_is_asked_for_nobody_is_the_default_project(gateway: Running) -> None:
    mine = gateway.job()["id"]
    key = make_key(gateway, project="web")
    with client_of(gateway, key) as client:
        theirs = client.post("/v1/jobs", json=BODY).json()["id"]
        assert [job["id"] for job in client.get("/v1/jobs").json()["data"]] == [theirs]
    assert [job["id"] for job in gateway.get("/v1/jobs").json()["data"]] == [mine]
    assert gateway.get(f"/v1/jobs/{theirs}").status_code == 404
    # A key of ours must be right all the same; what other clients send is none of ours.
    assert get(gateway, "/v1/jobs", changed_last(key.key)).status_code == 401
    assert get(gateway, "/v1/jobs", "sk-anything").status_code == 200
    # Other users of this machine come here too: none of them makes keys.
    assert not NOBODY.may("admin")
    for answer in (gateway.get("/v1/keys"), gateway.client.post("/v1/keys", json={})):
        assert_problem(answer, 401)


def test_an_admin_makes_lists_and_ends_keys_of_its_project(locked: Running) -> None:
    admin = make_key(locked, project="web", scopes=["admin"])
    other = make_key(locked, project="other")
    with client_of(locked, admin) as client:
        made = client.post("/v1/keys", json={"scopes": ["read"], "rate_per_minute": 60})
        assert made.status_code == 201, made.text
        key = made.json()
        assert (key["project"], key["scopes"], key["rate_per_minute"]) == ("web", ["read"], 60)
        assert get(locked, "/v1/jobs", key["key"]).status_code == 200
        listed = client.get("/v1/keys")
        assert [one["id"] for one in listed.json()["data"]] == [key["id"], admin.id]
        for secret in (key["key"], admin.key):
            assert secret.rpartition("_")[2] not in listed.text
        assert_problem(client.delete(f"/v1/keys/{other.id}"), 404)
        assert client.delete(f"/v1/keys/{key['id']}").status_code == 204
        assert get(locked, "/v1/jobs", key["key"]).status_code == 401  # at once
        assert client.delete(f"/v1/keys/{key['id']}").status_code == 204
        for project in ("other", "*"):
            refused = assert_problem(client.post("/v1/keys", json={"project": project}), 422)
            assert fields_of(refused) == ["project"]
    assert get(locked, "/v1/jobs", other.key).status_code == 200


def test_an_admin_of_every_project_makes_keys_of_any(locked: Running) -> None:
    with client_of(locked, make_key(locked, project="*", scopes=["admin"])) as client:
        assert client.post("/v1/keys", json={}).json()["project"] == "default"
        web = client.post("/v1/keys", json={"project": "web"}).json()
        assert web["project"] == "web"
        assert len(client.get("/v1/keys").json()["data"]) == 3
        assert client.post("/v1/jobs", json=BODY).status_code == 202
        assert client.delete(f"/v1/keys/{web['id']}").status_code == 204


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"scopes": ["write"]}, "scopes.0"),
        ({"scopes": []}, "scopes"),
        ({"rate": 3}, "rate"),
        ({"project": "a/b"}, "project"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "9999-12-31T23:59:59-23:59"}, "expires_at"),
        ([], "body"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_by_field(
    locked: Running, body: Any, field: str
) -> None:
    with client_of(locked, make_key(locked, scopes=["admin"])) as client:
        assert fields_of(assert_problem(client.post("/v1/keys", json=body), 422)) == [field]
        assert len(client.get("/v1/keys").json()["data"]) == 1


def test_other_gateways_hear_of_a_revocation(start: Start) -> None:
    one, other = start(api_keys_required=True), start(api_keys_required=True)
    admin, key = make_key(one, scopes=["admin"]), make_key(one)
    assert get(other, "/v1/jobs", key.key).status_code == 200  # remembered from now on
    with client_of(one, admin) as client:
        assert client.delete(f"/v1/keys/{key.id}").status_code == 204
    eventually(lambda: get(other, "/v1/jobs", key.key).status_code == 401)


def test_a_stream_ends_when_its_key_is_revoked(start: Start) -> None:
    gateway = start(api_keys_required=True, heartbeat_seconds=0.1)
    admin, key = make_key(gateway, scopes=["admin"]), make_key(gateway)
    with client_of(gateway, key) as client, client_of(gateway, admin) as other:
        job = client.post("/v1/jobs", json=BODY).json()
        with client.stream("GET", job["links"]["events"]) as stream:
            lines = stream.iter_lines()
            next(lines)
            assert other.delete(f"/v1/keys/{key.id}").status_code == 204
            for _ in lines:
                pass  # to its regular end: a torn connection would raise


def test_an_answer_that_was_waited_for_is_not_given_to_a_revoked_key(start: Start) -> None:
    gateway = start(api_keys_required=True)
    admin, key = make_key(gateway, scopes=["admin"]), make_key(gateway)
    answers: list[httpx.Response] = []
    with client_of(gateway, key) as client, client_of(gateway, admin) as other:
        job_id = client.post("/v1/jobs", json=BODY).json()["id"]
        path = f"/v1/jobs/{job_id}?wait=30"
        waiting = threading.Thread(target=lambda: answers.append(client.get(path)))
        waiting.start()
        assert other.delete(f"/v1/keys/{key.id}").status_code == 204
        assert other.post(f"/v1/jobs/{job_id}/cancel").status_code == 202
        waiting.join()
    assert_problem(answers[0], 401)


def test_the_last_use_of_a_key_is_noted(locked: Running) -> None:
    admin, key = make_key(locked, scopes=["admin"]), make_key(locked)
    get(locked, "/v1/jobs", changed_last(key.key))
    locked.inside.ring.note()
    with client_of(locked, admin) as client:
        uses = {one["id"]: one["last_used_at"] for one in client.get("/v1/keys").json()["data"]}
        assert uses == {admin.id: None, key.id: None}
        get(locked, "/v1/jobs", key.key)
        locked.inside.ring.note()
        uses = {one["id"]: one["last_used_at"] for one in client.get("/v1/keys").json()["data"]}
    assert uses[admin.id] is not None
    assert uses[key.id] is not None


def test_no_key_stands_in_a_log_or_an_error(
    locked: Running, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    admin = make_key(locked, scopes=["admin"])
    wrong = changed_last(admin.key)
    with client_of(locked, admin) as client:
        made = client.post("/v1/keys", json={}).json()["key"]
        answers = [
            client.post("/v1/jobs", content=b"{", headers={"Content-Type": "application/json"}),
            client.get("/v1/jobs?limit=0"),
            get(locked, "/v1/jobs", wrong),
            get(locked, "/v1/jobs", made),
            get(locked, f"/v1/keys/{wrong}"),
            get(locked, f"/v1/jobs/{made}%0afake line", wrong),
            client.get("/v1/keys"),
        ]
        locked.renew_connections()
    # The client's log and the server's, which is off outside of tests, have whole addresses.
    lines = [one.getMessage() for one in caplog.records if one.name.startswith("prelogit")]
    for key in (admin.key, wrong, made):
        secret = key.rpartition("_")[2]
        assert secret not in "\n".join(lines)
        for answer in answers:
            assert secret not in answer.text + str(answer.headers)
    assert any("refused GET '/v1/jobs':" in line for line in lines)
    assert not any("\n" in line for line in lines)


def test_the_document_says_how_keys_are_sent(start: Start, gateway: Running) -> None:
    locked = start(api_keys_required=True)
    needed, wanted = locked.app.openapi(), gateway.app.openapi()
    (name,) = needed["components"]["securitySchemes"]
    scheme = needed["components"]["securitySchemes"][name]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert needed["security"] == [{name: []}]
    assert wanted["security"] == [{}, {name: []}]
    for path, operations in needed["paths"].items():
        for operation in operations.values():
            assert ("security" in operation) == (path == "/health/live")
            assert {"401", "403"} <= operation["responses"].keys()
