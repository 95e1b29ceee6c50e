"""Which servers a job may name, and which key goes to which of them."""

from __future__ import annotations

import ipaddress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prelogit.core.errors import InputError
from prelogit.rewards.allowed import (
    LOOPBACK,
    Key,
    RewardUrls,
    allowed_by,
    key_of,
    private,
    refuse_unless_allowed,
    secret,
)


@pytest.mark.parametrize(
    ("url", "entries"),
    [
        ("http://127.0.0.1:8100", LOOPBACK),
        ("http://localhost", LOOPBACK),
        ("http://[::1]:9/x", LOOPBACK),
        ("https://rm.example.com/score", ["https://rm.example.com"]),
        ("https://RM.example.com:443/score", ["https://rm.example.com"]),
        ("http://10.0.0.7:8000", ["*", "http://10.0.0.7:8000"]),
        ("http://rm:8000/a/b", ["http://rm:8000/a"]),
        ("http://rm:8000/a", ["http://rm:8000/a/"]),
        ("https://rm.example.com", ["*"]),
        ("http://8.8.8.8", ["*"]),
    ],
)
def test_allowed(url: str, entries: list[str]) -> None:
    assert allowed_by(url, entries) in entries


@pytest.mark.parametrize(
    ("url", "entries"),
    [
        ("http://127.0.0.1:8100", []),
        ("http://127.0.0.1.example.com", LOOPBACK),
        ("https://127.0.0.1", LOOPBACK),
        ("http://rm.example.com", ["https://rm.example.com"]),
        ("https://rm.example.com:8443", ["https://rm.example.com"]),
        ("https://rm.example.com.evil.org", ["https://rm.example.com"]),
        ("http://rm:8000/ab", ["http://rm:8000/a"]),
        ("http://rm:8000/a/../b", ["http://rm:8000/a"]),
        ("http://rm:8000/a/%2e%2e/b", ["http://rm:8000/a"]),
        ("http://10.0.0.7", ["*"]),
        ("http://169.254.169.254/latest", ["*"]),
        ("http://[::ffff:10.0.0.7]", ["*"]),
        ("http://[fd00::1]", ["*"]),
        ("http://localhost:6379", ["*"]),
        ("http://redis:6379", ["*"]),
        ("http://0.0.0.0", ["*"]),
    ],
)
def test_not_allowed(url: str, entries: list[str]) -> None:
    assert allowed_by(url, entries) is None
    with pytest.raises(InputError, match="PRELOGIT_REWARD_URLS") as refused:
        refuse_unless_allowed(url, entries)
    assert refused.value.field == "reward.url"


@given(st.ip_addresses())
def test_an_address_inside_of_another_is_looked_through(address: ipaddress.IPv4Address) -> None:
    if address.version == 4:
        assert private(ipaddress.IPv6Address(f"::ffff:{address}")) == private(address)
    assert private(address) or address.is_global


@pytest.mark.parametrize("entry", ["rm:8000", "ftp://rm", "http://", "http://me:pw@rm"])
def test_an_entry_that_is_no_beginning_of_a_url_is_refused(entry: str) -> None:
    with pytest.raises(ValidationError, match="beginning of a URL"):
        TypeAdapter(RewardUrls).validate_python((entry,))


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
