"""Which children a stack has, and what they are told."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from prelogit.core.errors import LaunchError
from prelogit.egress.urls import LOOPBACK
from prelogit.launch import valkey
from prelogit.launch.gpus import visible_gpus
from prelogit.launch.ready import reachable
from prelogit.launch.settings import UpSettings
from prelogit.launch.stack import gpus_spec, service_specs, services_root, thread_counts
from prelogit.rewards.allowed_tokenizers import EVERYTHING
from prelogit.wire.models import model_names


def settings(tmp_path: Path, **changes: Any) -> UpSettings:
    return UpSettings(_env_file=None, home=tmp_path, **changes)


def test_children_run_the_services_of_this_checkout_with_safe_paths(tmp_path: Path) -> None:
    specs = service_specs(settings(tmp_path), "redis://q", {"PYTHONPATH": "/mine", "X": "1"}, 8)
    assert [spec.name for spec in specs] == ["reward", "worker", "gateway"]
    for spec in specs:
        assert spec.argv[:3] == (sys.executable, "-P", "-m")
        root, _, more = spec.env["PYTHONPATH"].partition(":")
        assert (Path(root) / spec.argv[3] / "__main__.py").is_file()
        assert more == "/mine"
        assert spec.env["X"] == "1"
        assert spec.env["PRELOGIT_REDIS_URL"] == "redis://q"
        assert spec.env["PRELOGIT_REWARD_URL"] == "http://127.0.0.1:8100"
        assert "PRELOGIT_DATABASE_URL" not in spec.env
    assert (services_root() / "db").is_dir()


def test_the_workers_serve_their_metrics_on_ports_of_their_own(tmp_path: Path) -> None:
    specs = service_specs(settings(tmp_path, workers=2, metrics_port=9100), "redis://q", {}, 8)
    ports = {spec.name: spec.env.get("PRELOGIT_METRICS_PORT") for spec in specs}
    assert ports == {"reward": None, "worker-1": "9100", "worker-2": "9101", "gateway": None}
    without = service_specs(settings(tmp_path), "redis://q", {}, 8)
    assert not [spec for spec in without if "PRELOGIT_METRICS_PORT" in spec.env]


def test_a_reward_service_of_the_users_own_is_used_and_none_started(tmp_path: Path) -> None:
    mine = settings(tmp_path, reward_url="http://r:1", database_url="postgresql://u@h/d", workers=2)
    specs = service_specs(mine, "redis://q", {}, 8)
    assert [spec.name for spec in specs] == ["worker-1", "worker-2", "gateway"]
    assert {spec.env["PRELOGIT_REWARD_URL"] for spec in specs} == {"http://r:1"}
    assert {spec.env["PRELOGIT_DATABASE_URL"] for spec in specs} == {"postgresql://u@h/d"}


@pytest.mark.parametrize(
    ("changes", "urls", "tokenizers"),
    [
        ({}, LOOPBACK, EVERYTHING),
        ({"host": "0.0.0.0"}, (), ()),
        ({"reward_urls": ("*",), "reward_tokenizers": ("*",)}, ("*",), ("*",)),
    ],
)
def test_jobs_bring_rewards_along_where_nobody_else_can_post(
    tmp_path: Path, changes: dict[str, Any], urls: Sequence[str], tokenizers: Sequence[str]
) -> None:
    for spec in service_specs(settings(tmp_path, **changes), "redis://q", {}, 8):
        assert json.loads(spec.env["PRELOGIT_REWARD_URLS"]) == list(urls)
        assert json.loads(spec.env["PRELOGIT_REWARD_TOKENIZERS"]) == list(tokenizers)


def test_every_model_gets_its_workers_and_all_services_know_all_models(tmp_path: Path) -> None:
    mine = settings(tmp_path, models=("meta/one", "two"), workers=2)
    specs = service_specs(mine, "redis://q", {}, 8)
    workers = [spec for spec in specs if spec.name.startswith("worker")]
    assert [spec.name for spec in workers] == [f"worker-{number}" for number in (1, 2, 3, 4)]
    served = [spec.env["PRELOGIT_MODEL"] for spec in workers]
    assert served == ["meta/one", "meta/one", "two", "two"]
    assert {spec.env["OMP_NUM_THREADS"] for spec in workers} == {"2"}
    gateway = specs[-1]
    assert gateway.env["PRELOGIT_MODEL"] == "meta/one"
    assert model_names(gateway.env["PRELOGIT_MODELS"]) == ["meta/one", "two"]


@pytest.mark.parametrize(
    ("gpus", "shares"),
    [
        (("0", "1", "2"), ["0", "1", "2"]),
        (("0", "1"), ["0", "1", "0"]),
        (("GPU-a",), ["GPU-a"] * 3),
        (("0", "1", "2", "3"), ["0", "1", "2,3"]),
        ((), [None] * 3),
    ],
)
def test_workers_share_out_the_gpus(
    tmp_path: Path, gpus: tuple[str, ...], shares: list[str | None]
) -> None:
    specs = service_specs(settings(tmp_path, workers=3), "redis://q", {}, 8, gpus)
    seen = {spec.name: spec.env.get("CUDA_VISIBLE_DEVICES") for spec in specs}
    assert [seen[f"worker-{number}"] for number in (1, 2, 3)] == shares
    assert seen["gateway"] is seen["reward"] is None


@pytest.mark.parametrize(
    ("count", "outer", "names"),
    [
        (2, {}, ("0", "1")),
        (2, {"CUDA_VISIBLE_DEVICES": "3, 1"}, ("3", "1")),
        (1, {"CUDA_VISIBLE_DEVICES": "GPU-a,nonsense"}, ("GPU-a",)),
        (0, {"CUDA_VISIBLE_DEVICES": ""}, ()),
    ],
)
def test_what_the_user_hides_is_not_dealt_out(
    count: int, outer: dict[str, str], names: tuple[str, ...]
) -> None:
    assert visible_gpus(count, outer) == names


def test_the_gpus_are_counted_in_a_process_of_its_own(tmp_path: Path) -> None:
    spec = gpus_spec(settings(tmp_path), {"CUDA_VISIBLE_DEVICES": ""})
    done = subprocess.run(spec.argv, env=spec.env, capture_output=True, text=True, check=True)
    assert done.stdout == "0\n"


@pytest.mark.parametrize(("cores", "workers"), [(1, 1), (2, 1), (4, 1), (8, 3), (64, 2)])
def test_threads_fit_the_cores(cores: int, workers: int) -> None:
    reward, worker = thread_counts(cores, workers)
    assert reward >= 1
    assert worker >= 1
    assert reward <= max(1, cores // 2)
    assert workers * worker <= max(cores, workers)


def test_threads_are_left_alone_where_the_user_has_chosen(tmp_path: Path) -> None:
    told = {
        spec.name: spec.env.get("OMP_NUM_THREADS")
        for spec in service_specs(settings(tmp_path), "redis://q", {}, 8)
    }
    assert told == {"reward": "2", "worker": "8", "gateway": None}
    for spec in service_specs(settings(tmp_path), "redis://q", {"OMP_NUM_THREADS": "3"}, 8):
        assert spec.env["OMP_NUM_THREADS"] == "3"


def test_the_queue_listens_on_no_port_and_keeps_its_password_to_itself(tmp_path: Path) -> None:
    queue = valkey.Valkey(valkey.find_server(), tmp_path, tmp_path / 'a "data" folder')
    password = queue.url.split("@")[0].removeprefix("redis+socket://:")
    assert len(password) > 30
    assert password not in " ".join(queue.argv)
    config = tmp_path / "valkey.conf"
    assert config.stat().st_mode & 0o777 == 0o600
    assert "port 0\n" in config.read_text()
    assert queue.url.startswith("redis+socket://:")


def test_without_the_wheel_of_the_queue_the_cure_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(valkey, "find_spec", lambda name: None)
    with pytest.raises(LaunchError, match="PRELOGIT_REDIS_URL"):
        valkey.find_server()


def test_a_long_temporary_folder_still_gives_a_short_socket(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    long = tmp_path / ("x" * 90)
    long.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(long))
    folder = valkey.private_folder()
    assert len(str(folder / "v.sock")) <= 100
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.rmdir()
    assert not list(long.iterdir())


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("127.0.0.1", "http://127.0.0.1:80"),
        ("0.0.0.0", "http://127.0.0.1:80"),
        ("::", "http://[::1]:80"),
    ],
)
def test_a_server_on_all_addresses_is_asked_on_this_machine(host: str, url: str) -> None:
    assert reachable(host, 80) == url
