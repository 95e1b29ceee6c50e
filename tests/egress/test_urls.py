"""Which URLs those who post jobs may name."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from prelogit.egress.urls import LOOPBACK, AllowedUrls, allowed_by, private


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
        ("http://[2606:4700::1111]", ["*"]),
        ("http://[64:ff9b::8.8.8.8]", ["*"]),
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
        ("http://[64:ff9b::169.254.169.254]", ["*"]),
        ("http://[64:ff9b:1::10.0.0.7]", ["*"]),
        ("http://[::10.0.0.7]", ["*"]),
        ("http://[::ffff:0:10.0.0.7]", ["*"]),
        ("http://[fec0::1]", ["*"]),
        ("http://192.88.99.1", ["*"]),
    ],
)
def test_not_allowed(url: str, entries: list[str]) -> None:
    assert allowed_by(url, entries) is None


@given(st.ip_addresses())
def test_an_address_inside_of_another_is_looked_through(address: ipaddress.IPv4Address) -> None:
    if address.version == 4:
        assert private(ipaddress.IPv6Address(f"::ffff:{address}")) == private(address)
    assert private(address) or address.is_global


@pytest.mark.parametrize("entry", ["rm:8000", "ftp://rm", "http://", "http://me:pw@rm"])
def test_an_entry_that_is_no_beginning_of_a_url_is_refused(entry: str) -> None:
    with pytest.raises(ValidationError, match="beginning of a URL"):
        TypeAdapter(AllowedUrls).validate_python((entry,))
