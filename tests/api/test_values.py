"""Jobs name value networks of this installation, and nothing else on its disk."""

from __future__ import annotations

from pathlib import Path

import pytest

from prelogit.value.file import save_value
from prelogit.value.network import untrained
from tests.api.running import Running
from tests.api.test_submit import assert_problem
from tests.value.made import header


def store_value(path: Path) -> None:
    save_value(path, untrained(6, 8, seed=1), header())


def test_a_value_is_named_and_taken(gateway: Running) -> None:
    store_value(gateway.settings.home / "values" / "polite" / "value.safetensors")
    method = {"name": "recontrol", "value": "polite", "learning_rate": 0.5, "steps": 3}
    job = gateway.job({"prompts": ["one"], "method": method})
    assert job["request"]["method"] == {
        **method, "n": 1, "temperature": None, "top_p": 0.9, "batch_size": 16,
    }  # fmt: skip


@pytest.mark.parametrize("value", ["rude", "../polite", "{home}/polite.safetensors", "a\x00b"])
def test_no_other_file_can_be_reached(gateway: Running, value: str) -> None:
    home = gateway.settings.home
    store_value(home / "values" / "polite" / "value.safetensors")
    store_value(home / "polite.safetensors")
    method = {"name": "recontrol", "value": value.format(home=home)}
    answer = gateway.post({"prompts": ["one"], "method": method})
    assert answer.status_code == 422
    (error,) = answer.json()["errors"]
    assert error["field"] == "method.value"
    assert error["allowed"] == ["polite"]


def test_the_value_of_a_baseline_is_looked_for_too(gateway: Running) -> None:
    store_value(gateway.settings.home / "values" / "polite" / "value.safetensors")
    names = ("polite", "rude")
    body = {
        "prompts": ["one"],
        "baselines": [{"name": "recontrol", "value": name} for name in names],
    }
    (error,) = gateway.post(body).json()["errors"]
    assert (error["field"], error["allowed"]) == ("baselines.1.value", ["polite"])
    # What the job trains itself need not be there before it has begun.
    (gateway.settings.home / "values" / "rude" / "states").mkdir(parents=True)
    (gateway.settings.home / "values" / "rude" / "states" / "one.safetensors").touch()
    gateway.job({**body, "method": {"name": "train", "value": "rude"}})


def test_a_file_that_is_none_is_refused(gateway: Running) -> None:
    path = gateway.settings.home / "values" / "broken" / "value.safetensors"
    path.parent.mkdir(parents=True)
    path.write_bytes(b"nothing")
    method = {"name": "recontrol", "value": "broken"}
    document = assert_problem(gateway.post({"prompts": ["one"], "method": method}), 422)
    assert "no value file" in document["detail"]


def test_a_value_must_be_named(gateway: Running) -> None:
    answer = gateway.post({"prompts": ["one"], "method": {"name": "recontrol"}})
    document = assert_problem(answer, 422)
    assert document["errors"][0]["field"] == "method.value"
    methods = {one["name"]: one for one in gateway.get("/v1/methods").json()["data"]}
    value, *others = methods["recontrol"]["parameters"]
    assert (value["name"], value["required"]) == ("value", True)
    assert not any(one["required"] for one in others)
    assert methods["collect"]["samples"] == 8


def test_states_are_collected_under_a_name(gateway: Running) -> None:
    method = {"name": "collect", "value": "../polite"}
    answer = gateway.post({"prompts": ["one"], "method": method})
    assert answer.json()["errors"][0]["field"] == "method.value"
    gateway.job({"prompts": ["one"], "method": {**method, "value": "polite"}})


def test_a_value_without_states_is_not_trained(gateway: Running) -> None:
    body = {"prompts": ["one"], "method": {"name": "train", "value": "polite"}}
    document = assert_problem(gateway.post(body), 422)
    assert document["errors"][0]["field"] == "method.value"
    assert "no states to train on" in document["detail"]
    states = gateway.settings.home / "values" / "polite" / "states"
    states.mkdir(parents=True)
    (states / "one.safetensors").touch()
    assert gateway.job(body)["request"]["method"]["epochs"] == 100


def test_values_are_listed_with_their_curves(gateway: Running) -> None:
    assert gateway.get("/v1/values").json() == {"object": "list", "data": []}
    folder = gateway.settings.home / "values"
    store_value(folder / "polite" / "value.safetensors")
    (folder / "broken").mkdir()
    (folder / "broken" / "value.safetensors").write_bytes(b"nothing")
    (value,) = gateway.get("/v1/values").json()["data"]
    assert (value["id"], value["explained"]) == ("polite", pytest.approx(0.1))
    assert value["header"]["model"]["name"] == "tiny"
    assert value["header"]["curve"] == [{"loss": 1.0, "held_out": 0.9}]
