"""``prelogit doctor``: each line is well or tells the cure."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest
from transformers import LlamaConfig

from tests.api.running import free_port
from tests.cli.conftest import Run


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> Path:
    """An empty home folder, and ports that nobody uses."""
    home = tmp_path / "home"
    monkeypatch.setenv("PRELOGIT_HOME", str(home))
    monkeypatch.setenv("PRELOGIT_PORT", str(free_port()))
    monkeypatch.setenv("PRELOGIT_REWARD_PORT", str(free_port()))
    return home


def test_all_is_well_on_a_fresh_installation(bare: Run, place: Path) -> None:
    done = bare("doctor", "--json")
    assert done.code == 0, done.out
    assert [finding["name"] for finding in done.json] == [
        "install", "device", "home", "disk", "model", "memory", "store", "queue", "clock", "reward",
        "workers", "gateway",
    ]  # fmt: skip
    assert all(finding["ok"] for finding in done.json)


def test_a_store_that_is_behind_is_found(bare: Run, place: Path) -> None:
    place.mkdir()
    (place / "prelogit.db").touch()
    done = bare("doctor", "--json")
    (store,) = [finding for finding in done.json if finding["name"] == "store"]
    assert not store["ok"]
    assert "not up to date" in store["detail"]


@pytest.mark.parametrize(
    ("variable", "value", "finding", "told"),
    [
        ("PRELOGIT_DEVICE", "tpu", "device", "cuda:N"),
        ("PRELOGIT_DEVICE", "cuda:99", "device", "auto or cpu"),
        ("PRELOGIT_MODEL", "/nowhere", "model", "local folder"),
        ("PRELOGIT_MEMORY_GB", "0", "memory", "greater than 0"),
        ("PRELOGIT_DATABASE_URL", "postgresql://u:secret@127.0.0.1:9/x", "store", "DATABASE_URL"),
        ("PRELOGIT_DATABASE_URL", "mysql://u:secret@h/x", "store", "DATABASE_URL"),
        ("PRELOGIT_REDIS_URL", "redis://:secret@127.0.0.1:9/0", "queue", "start it"),
        ("PRELOGIT_REDIS_URL", "what://x", "queue", "start it"),
        ("PRELOGIT_REWARD_URL", "http://127.0.0.1:9", "reward", "PRELOGIT_REWARD_URL"),
    ],
)
def test_what_is_wrong_has_its_cure_and_ends_with_1(
    bare: Run,
    place: Path,
    monkeypatch: pytest.MonkeyPatch,
    variable: str,
    value: str,
    finding: str,
    told: str,
) -> None:
    monkeypatch.setenv(variable, value)
    done = bare("doctor")
    assert done.code == 1
    (line,) = [line for line in done.out.splitlines() if line.startswith("wrong")]
    assert finding in line
    assert told in line
    assert "secret" not in done.out


def test_memory_is_told_by_the_configuration_alone(
    bare: Run, place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    config = LlamaConfig(
        hidden_size=64, intermediate_size=128, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, vocab_size=257,
    )  # fmt: skip
    config.save_pretrained(tmp_path / "model")
    monkeypatch.setenv("PRELOGIT_MODEL", str(tmp_path / "model"))
    monkeypatch.setenv("PRELOGIT_DEVICE", "cpu")
    monkeypatch.setenv("PRELOGIT_DTYPE", "float32")
    monkeypatch.setenv("PRELOGIT_MEMORY_GB", "0.005")

    def memory() -> dict[str, Any]:
        (found,) = [one for one in bare("doctor", "--json").json if one["name"] == "memory"]
        return dict(found)

    # 2 layers of 2 key and value heads of 16 in float32: 512 bytes a token.
    assert memory()["ok"], memory()
    assert "5.0 MB to use, weights 427.8 kB" in memory()["detail"]
    assert "a prompt token 512 bytes" in memory()["detail"]
    rows = int(memory()["detail"].split("; ")[1].split()[0])
    assert 2 <= rows < 128
    monkeypatch.setenv("PRELOGIT_MAX_ROWS", "3")
    assert memory()["detail"].endswith("; 3 samples at once")
    monkeypatch.setenv("PRELOGIT_MEMORY_GB", "0.0003")
    assert not memory()["ok"]
    assert "PRELOGIT_MEMORY_GB" in memory()["detail"]


def test_every_offered_model_is_looked_at(
    bare: Run, place: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    folders = [tmp_path / "small", tmp_path / "large"]
    for folder, layers in zip(folders, (2, 200), strict=True):
        LlamaConfig(
            hidden_size=64, intermediate_size=128, num_hidden_layers=layers,
            num_attention_heads=4, num_key_value_heads=2, vocab_size=257,
        ).save_pretrained(folder)  # fmt: skip
    monkeypatch.setenv("PRELOGIT_MODELS", f"{folders[0]},{folders[1]},/nowhere")
    monkeypatch.setenv("PRELOGIT_DEVICE", "cpu")
    monkeypatch.setenv("PRELOGIT_DTYPE", "float32")
    monkeypatch.setenv("PRELOGIT_MEMORY_GB", "0.01")
    done = bare("doctor", "--json")
    assert done.code == 1
    found = [one for one in done.json if one["name"] in ("model", "memory")]
    assert [(one["name"], one["ok"]) for one in found] == [
        ("model", True), ("memory", True),
        ("model", True), ("memory", False),
        ("model", False), ("memory", True),
    ]  # fmt: skip
    for place_of, name in zip((0, 2, 4), [*map(str, folders), "/nowhere"], strict=True):
        assert name in found[place_of]["detail"]
        assert found[place_of + 1]["detail"].startswith(f"{name}: ")
    assert "PRELOGIT_MEMORY_GB" in found[3]["detail"]
    assert found[5]["detail"].endswith("told once device and model are well")


def test_a_taken_port_is_found(bare: Run, place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        monkeypatch.setenv("PRELOGIT_PORT", str(other.getsockname()[1]))
        done = bare("doctor")
    assert done.code == 1
    assert "PRELOGIT_PORT" in done.out


def test_a_home_that_cannot_be_used_is_found(bare: Run, place: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    done = bare("doctor", "--home", str(tmp_path / "file"))
    assert done.code == 1
    assert "PRELOGIT_HOME" in done.out
