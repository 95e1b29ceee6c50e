"""docker-compose.yml: valid, complete, without a secret, and true to the code it starts."""

from __future__ import annotations

import importlib
import json
import re
from typing import Any

import compose_spec
import pytest
from pydantic_settings import BaseSettings

from tests.packaging.compose import (
    PROCESSES,
    ROOT,
    SECRETS,
    TEXT,
    composed,
    environment,
    services,
    variables,
)
from tests.packaging.pages import blocks

ALL = services()
OURS = {name: service for name, service in ALL.items() if "build" in service}
ONE_SHOT = {"model"}
CONDITIONS = {
    "postgres": "service_healthy",
    "redis": "service_healthy",
    "model": "service_completed_successfully",
    "reward": "service_started",
}


def settings_of(service: str) -> type[BaseSettings]:
    module, _, name = PROCESSES[service].partition(":")
    found = getattr(importlib.import_module(module), name)
    assert issubclass(found, BaseSettings)
    return found


def test_the_file_is_a_compose_file() -> None:
    compose_spec.PyCompose.from_json(json.dumps(composed())).validate()


def test_a_misspelt_key_would_be_found() -> None:
    wrong = composed()
    wrong["services"]["gateway"]["helthcheck"] = {}
    with pytest.raises(ValueError, match="helthcheck"):
        compose_spec.PyCompose.from_json(json.dumps(wrong)).validate()


def test_every_part_is_there() -> None:
    assert set(ALL) == {"redis", "postgres", "model", "reward", "worker", "worker-gpu", "gateway"}


@pytest.mark.parametrize(
    ("service", "module"),
    [
        ("gateway", "api"),
        ("worker", "workers"),
        ("worker-gpu", "workers"),
        ("reward", "reward_service"),
        ("model", "prelogit.engine.embedded"),
    ],
)
def test_processes_start_as_everywhere_else(service: str, module: str) -> None:
    assert ALL[service]["command"] == ["python", "-P", "-m", module]


@pytest.mark.parametrize("service", ALL)
def test_every_service_has_a_health_check_or_ends(service: str) -> None:
    if service in ONE_SHOT:
        assert ALL[service]["restart"] == "no"
        assert "healthcheck" not in ALL[service]
        return
    check = ALL[service]["healthcheck"]
    assert check["test"][0] in ("CMD", "CMD-SHELL")
    assert {"interval", "timeout", "retries", "start_period"} <= set(check)
    assert ALL[service]["restart"] == "unless-stopped"


@pytest.mark.parametrize("service", ["gateway", "worker", "worker-gpu"])
def test_gateway_and_workers_wait_for_what_they_need(service: str) -> None:
    waited = {name: on["condition"] for name, on in ALL[service]["depends_on"].items()}
    assert waited == CONDITIONS
    assert set(waited) <= set(ALL)


@pytest.mark.parametrize("service", PROCESSES)
def test_every_setting_is_one_that_the_process_reads(service: str) -> None:
    known = {f"PRELOGIT_{name.upper()}" for name in settings_of(service).model_fields}
    given = {name for name in environment(ALL[service]) if name.startswith("PRELOGIT_")}
    assert given
    assert given <= known


@pytest.mark.parametrize("service", PROCESSES)
def test_the_process_accepts_its_environment(
    service: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env of the developer's
    for name, value in environment(ALL[service]).items():
        monkeypatch.setenv(name, value)
    settings_of(service)()


def test_all_processes_agree_on_store_queue_reward_and_model() -> None:
    shared = ("DATABASE_URL", "REDIS_URL", "REWARD_URL", "MODEL")
    seen = {
        tuple(environment(ALL[name])[f"PRELOGIT_{key}"] for key in shared)
        for name in ("gateway", "worker", "worker-gpu")
    }
    assert len(seen) == 1


def test_a_worker_of_a_second_model_is_written_as_the_page_says() -> None:
    (block,) = blocks(ROOT / "docs" / "larger-models.md", "yaml")
    text = TEXT.replace("\n  gateway:\n", f"\n{block}\n  gateway:\n")
    both = "smollm2-135m,Qwen/Qwen2.5-0.5B-Instruct"
    found = composed({**SECRETS, "PRELOGIT_MODELS": both}, text)["services"]
    second = found["worker-qwen"]
    assert {**second, "environment": {}} == {**found["worker"], "environment": {}}
    models = {environment(found[name])["PRELOGIT_MODEL"] for name in ("worker", "worker-qwen")}
    assert models == set(environment(found["gateway"])["PRELOGIT_MODELS"].split(","))


def test_addresses_name_services_and_the_ports_they_listen_on() -> None:
    gateway = environment(ALL["gateway"])
    assert "@postgres:5432/prelogit" in gateway["PRELOGIT_DATABASE_URL"]
    assert "@redis:6379/" in gateway["PRELOGIT_REDIS_URL"]
    port = environment(ALL["reward"])["PRELOGIT_REWARD_PORT"]
    assert gateway["PRELOGIT_REWARD_URL"] == f"http://reward:{port}"
    assert f":{port}/health/ready'" in ALL["reward"]["healthcheck"]["test"][-1]
    assert f":{gateway['PRELOGIT_PORT']}/health/live'" in ALL["gateway"]["healthcheck"]["test"][-1]


def test_only_the_gateway_is_published_and_only_to_this_machine() -> None:
    published = {name: service["ports"] for name, service in ALL.items() if "ports" in service}
    assert published == {"gateway": ["127.0.0.1:8000:8000"]}


@pytest.mark.parametrize("missing", SECRETS)
def test_a_secret_has_no_default(missing: str) -> None:
    with pytest.raises(KeyError, match=missing):
        composed({name: value for name, value in SECRETS.items() if name != missing})


def test_passwords_stand_in_the_file_by_name_only() -> None:
    for line in TEXT.splitlines():
        words = re.findall(r"(?:PASSWORD|AUTH|requirepass)\b[^\n]*", line)
        if words and not line.lstrip().startswith("#"):
            assert re.search(r"\$\{\w+_PASSWORD:\?", line), line


def test_what_can_be_chosen_is_documented() -> None:
    page = (ROOT / "docs" / "deployment.md").read_text(encoding="utf-8")
    for name in variables():
        assert f"`{name}`" in page, f"docs/deployment.md does not say what {name} is"


@pytest.mark.parametrize("service", OURS)
def test_our_containers_have_no_rights_beyond_their_work(service: str) -> None:
    found = ALL[service]
    assert found["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in found["security_opt"]
    assert "privileged" not in found
    assert found["init"] is True


def test_the_gpu_worker_asks_for_a_gpu_and_starts_only_when_wanted() -> None:
    worker, gpu = ALL["worker"], ALL["worker-gpu"]
    assert "profiles" not in worker
    assert gpu["profiles"] == ["gpu"]
    (device,) = gpu["deploy"]["resources"]["reservations"]["devices"]
    assert device["capabilities"] == ["gpu"]
    assert environment(gpu)["PRELOGIT_DEVICE"] == "cuda"
    assert gpu["image"] != worker["image"]
    same = {"command", "depends_on", "healthcheck", "volumes"}
    assert {key: gpu[key] for key in same} == {key: worker[key] for key in same}


def test_volumes_and_configs_that_are_used_are_declared() -> None:
    whole = composed()
    for service in ALL.values():
        for mount in service.get("volumes", ()):
            assert mount.partition(":")[0] in whole["volumes"]
        for config in service.get("configs", ()):
            assert config["source"] in whole["configs"]
    used = {m.partition(":")[0] for s in ALL.values() for m in s.get("volumes", ())}
    assert used == set(whole["volumes"])
