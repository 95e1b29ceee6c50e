"""The reward service's OpenAPI document says what its addresses take and answer."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest

from reward_service.compat.paths import PATHS
from reward_service.settings import RewardSettings
from reward_service.specs import FunctionSpec

SOURCE = "def length(conversations, responses):\n    return [len(text) for text in responses]\n"


@pytest.fixture
def settings(write_module: Callable[[str], str]) -> RewardSettings:
    path = f"{write_module(SOURCE)}:length"
    return RewardSettings(
        _env_file=None, rewards=(FunctionSpec(name="length", kind="function", path=path),)
    )


def test_every_body_and_refusal_is_described(
    settings: RewardSettings, serving: Callable[..., Any]
) -> None:
    with serving(settings) as service:
        document = service.http.get("/openapi.json").json()
    schemas = document["components"]["schemas"]
    pointed = re.findall(r'"\$ref": "([^"]+)"', json.dumps(document))
    assert pointed
    assert {one.removeprefix("#/components/schemas/") for one in pointed} <= schemas.keys()
    for path, protocols in PATHS.items():
        operation = document["paths"][path]["post"]
        (content,) = operation["requestBody"]["content"].values()
        assert len(content["schema"]["anyOf"]) == len(protocols), path
        assert "4XX" in operation["responses"]
    assert {"description", "properties"} <= schemas["tei-PredictBody"].keys()


def test_no_address_sends_on_to_the_host_that_the_request_names(
    settings: RewardSettings, serving: Callable[..., Any]
) -> None:
    with serving(settings) as service:
        answer = service.http.post("/v1/score/", json={}, headers={"Host": "evil.example"})
    assert answer.status_code == 404
    assert "location" not in answer.headers
