"""Settings come from PRELOGIT_* and are refused with the variable's name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from api.settings import Settings


def test_everything_has_a_default(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PRELOGIT_HOME", str(tmp_path))
    settings = Settings(_env_file=None)
    assert settings.store_url == f"sqlite:///{tmp_path}/prelogit.db"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PRELOGIT_DATABASE_URL", "postgresql://u:hidden@h/d")
    monkeypatch.setenv("PRELOGIT_MAX_PROMPTS", "7")
    settings = Settings(_env_file=None)
    assert settings.store_url == "postgresql://u:hidden@h/d"
    assert settings.max_prompts == 7
    assert "hidden" not in repr(settings)


def test_models_are_listed_and_the_first_is_the_default(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PRELOGIT_MODEL", raising=False)
    assert Settings(_env_file=None).offered == ("smollm2-135m",)
    monkeypatch.setenv("PRELOGIT_MODELS", "meta/one, two")
    settings = Settings(_env_file=None)
    assert (settings.model, settings.offered) == ("meta/one", ("meta/one", "two"))
    monkeypatch.setenv("PRELOGIT_MODEL", "two")
    settings = Settings(_env_file=None)
    assert (settings.model, settings.offered) == ("two", ("meta/one", "two"))
    monkeypatch.setenv("PRELOGIT_MODEL", "three")
    assert Settings(_env_file=None).offered == ("three", "meta/one", "two")
    monkeypatch.setenv("PRELOGIT_MODELS", "")
    assert Settings(_env_file=None).offered == ("three",)
    monkeypatch.setenv("PRELOGIT_MODELS", '["one", 2]')
    with pytest.raises(ValidationError, match="models"):
        Settings(_env_file=None)


@pytest.mark.parametrize(
    "url", ["redis+unix:///s", "socket:///s", "unix:///s", "valkey://h", "localhost:6379"]
)
def test_a_queue_url_that_celery_misreads_is_refused(url: str) -> None:
    with pytest.raises(ValidationError, match=r"redis\+socket"):
        Settings(_env_file=None, redis_url=url)


def test_a_reward_url_must_be_http() -> None:
    with pytest.raises(ValidationError, match="http"):
        Settings(_env_file=None, reward_url="ftp://h")
    assert Settings(_env_file=None, reward_url="http://h:1/").reward_url == "http://h:1"
