from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from workers.settings import Settings


@pytest.fixture(autouse=True)
def _no_dotenv(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)


def test_settings_come_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in {
        "DATABASE_URL": "postgresql://u:pw@h/d",
        "REDIS_URL": "redis+socket://:pw@/run/v.sock?virtual_host=0",
        "REWARD_URL": "http://reward:8100/",
        "LEASE_SECONDS": "7.5",
        "LOG_LEVEL": "debug",
        "MAX_ROWS": "64",
        "DEVICE_MAP": '{"model": 0, "lm_head": "cpu"}',
    }.items():
        monkeypatch.setenv(f"PRELOGIT_{name}", value)
    settings = Settings()
    assert settings.store_url == "postgresql://u:pw@h/d"
    assert settings.reward_url == "http://reward:8100"
    assert settings.lease_seconds == 7.5
    assert settings.log_level == "DEBUG"
    assert settings.max_rows == 64
    assert settings.device_map == {"model": 0, "lm_head": "cpu"}
    assert "pw" not in repr(settings)


def test_the_store_is_a_file_at_home_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELOGIT_HOME", "~/here")
    monkeypatch.delenv("PRELOGIT_DATABASE_URL", raising=False)
    assert Settings().store_url == f"sqlite:///{Path('~/here').expanduser()}/prelogit.db"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("redis_url", "redis+unix://:hunter2@/run/v.sock"),
        ("reward_url", "hunter2"),
        ("lease_seconds", "0"),
        ("lease_seconds", "inf"),
        ("attention", "hunter2"),
        ("device_map", "hunter2"),
        ("device_map", '{"hunter2": 1.5}'),
        ("log_level", "hunter2"),
    ],
)
def test_a_bad_setting_is_refused_by_name_without_its_value(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"PRELOGIT_{name.upper()}", value)
    with pytest.raises(ValidationError) as caught:
        Settings()
    assert caught.value.errors()[0]["loc"] == (name,)
    assert "hunter2" not in str(caught.value)
