"""``prelogit doctor --reward``: a report, or the reason why a reward is not to be trusted."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from prelogit.launch.note import LOCK, write_note
from prelogit.wire.probe import Probe
from tests.api.running import free_port
from tests.cli.conftest import Run
from tests.workers.services import Reward

SORTED = """
def order(conversations, responses):
    return sorted(float(len(text)) for text in responses)
"""


@pytest.fixture
def nothing_runs(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, clean_environment: None) -> None:
    monkeypatch.setenv("PRELOGIT_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PRELOGIT_REWARD_PORT", str(free_port()))


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Reward]:
    reward = Reward(tmp_path_factory.mktemp("reward"))
    yield reward
    reward.kill()


def test_a_function_is_probed_without_any_service(bare: Run, nothing_runs: None) -> None:
    done = bare("doctor", "--reward", "tests.workers.moody:vowels")
    assert done.code == 0
    for row in ("reward", "scale", "batch", "order", "latency", "over-long response"):
        assert row in done.out
    assert "in this process" in done.out


def test_the_report_in_json(bare: Run, nothing_runs: None) -> None:
    done = bare("doctor", "--reward", "relevance", "--json")
    assert done.code == 0
    report = Probe.model_validate(done.json)
    assert report.reward == "relevance"
    assert report.warnings == ()
    assert "over-long response" in [one.text for one in report.odd if one.outcome == "cut"]
    assert done.err == ""


def test_what_is_refused_ends_with_1_and_the_reason(
    bare: Run, nothing_runs: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sorted_rewards.py").write_text(SORTED)
    monkeypatch.syspath_prepend(tmp_path)
    done = bare("doctor", "--reward", "sorted_rewards:order")
    assert done.code == 1
    assert "in the order of the request" in done.err
    assert done.out == ""


def test_a_name_means_one_that_the_installation_hosts(
    bare: Run, nothing_runs: None, service: Reward, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRELOGIT_REWARD_URL", service.url)
    done = bare("doctor", "--reward", "moody")
    assert done.code == 0, done.err
    assert f"moody at {service.url}" in done.out
    done = bare("doctor", "--reward", "mody")
    assert done.code == 2
    assert "hosts moody" in done.err


def test_a_name_is_looked_for_where_the_running_stack_hosts_it(
    bare: Run, nothing_runs: None, service: Reward, tmp_path: Path
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    lock = os.open(home / LOCK, os.O_RDWR | os.O_CREAT)
    try:
        write_note(lock, {"url": "http://h", "reward_port": int(service.url.rpartition(":")[2])})
    finally:
        os.close(lock)
    done = bare("doctor", "--reward", "moody")
    assert done.code == 0, done.err
    assert f"moody at {service.url}" in done.out


def test_a_url_with_its_protocol(bare: Run, nothing_runs: None, service: Reward) -> None:
    done = bare("doctor", "--reward", f"{service.url}#moody", "--json")
    assert done.code == 0, done.err
    assert done.json["reward"] == "moody"
    done = bare("doctor", "--reward", f"vllm-classify+{service.url}#moody", "--json")
    assert done.code == 0, done.err
    assert done.json["reward"] == "moody"
    url = "http://user:secret@127.0.0.1:9?patience_seconds=0"
    done = bare("doctor", "--reward", f"tei+{url}&text=plain")
    assert done.code == 1
    assert "did not answer" in done.err
    assert "secret" not in done.err


def test_an_unknown_name_says_what_can_be_given(bare: Run, nothing_runs: None) -> None:
    done = bare("doctor", "--reward", "nobody")
    assert done.code == 2
    assert "no reward service answers" in done.err
