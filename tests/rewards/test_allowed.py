"""Which reward servers a job may name, and which key goes to which of them."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from prelogit.core.errors import InputError
from prelogit.egress.keys import Key
from prelogit.rewards.allowed import key_of, refuse_unless_allowed, secret


@pytest.mark.parametrize("entries", [[], ["*"], ["http://10.0.0.8"]])
def test_a_server_that_is_not_allowed_is_refused_by_the_name_of_the_setting(
    entries: list[str],
) -> None:
    with pytest.raises(InputError, match="PRELOGIT_REWARD_URLS") as refused:
        refuse_unless_allowed("http://10.0.0.7", entries)
    assert refused.value.field == "reward.url"
    assert "10.0.0.8" not in str(refused.value)


def test_a_key_goes_only_where_it_is_meant_to(tmp_path: Path) -> None:
    file = tmp_path / "key"
    file.write_text(" sesame\n")
    keys = {"rm": Key(url="https://rm.example.com", file=file)}
    key = key_of("rm", "https://rm.example.com/v1", keys)
    assert secret("rm", key) == "sesame"
    file.write_text("another")
    assert secret("rm", key) == "another"
    for name, url in (("rm", "https://evil.example.com"), ("mr", "https://rm.example.com")):
        with pytest.raises(InputError, match=f"no key '{name}' for that server"):
            key_of(name, url, keys)
    with pytest.raises(InputError, match="there is rm"):
        key_of("mr", "https://rm.example.com", keys)


def test_a_key_out_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    key = Key(url="http://rm", env="A_KEY")
    monkeypatch.setenv("A_KEY", "sesame")
    assert secret("rm", key) == "sesame"
    monkeypatch.delenv("A_KEY")
    with pytest.raises(InputError, match="check its variable"):
        secret("rm", key)


@pytest.mark.parametrize("held", ["", "two words", "sésame", "a\nb"])
def test_what_cannot_be_a_key_is_refused_and_not_shown(tmp_path: Path, held: str) -> None:
    file = tmp_path / "key"
    file.write_text(held)
    with pytest.raises(InputError, match="'rm' of PRELOGIT_REWARD_KEYS") as refused:
        secret("rm", Key(url="http://rm", file=file))
    assert not held or held not in str(refused.value)


def test_a_key_has_one_place() -> None:
    for places in ({}, {"env": "A", "file": "b"}):
        with pytest.raises(ValidationError, match="either env"):
            Key(url="http://rm", **places)
