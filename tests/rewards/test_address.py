"""An address is shown without what must not be shown."""

from __future__ import annotations

import pytest

from prelogit.core.errors import InputError
from prelogit.rewards.address import parse_address


def test_user_and_password_leave_the_url_and_are_kept_for_the_login() -> None:
    address = parse_address("https://bob:s%40cret@rewards.example:9000/base/?key=k#ultra%20rm")
    assert address.url == "https://rewards.example:9000/base"
    assert address.login == ("bob", "s@cret")
    assert address.reward == "ultra rm"
    assert not address.loopback
    for text in (address.url, address.shown, repr(address), str(address)):
        assert "s@cret" not in text
        assert "s%40cret" not in text
        assert "bob" not in text
        assert "key" not in text


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "127.3.2.1"])
def test_loopback_is_recognised(host: str) -> None:
    address = parse_address(f"http://{host}:8100")
    assert address.loopback
    assert address.url == f"http://{host}:8100"


@pytest.mark.parametrize("host", ["bücher.example", "xn--bcher-kva.example", "my_host", "a-b.c"])
def test_names_of_hosts(host: str) -> None:
    assert parse_address(f"http://{host}:81/v1/").url == f"http://{host}:81/v1"


@pytest.mark.parametrize(
    "url",
    [
        *("", "rewards:8100", "ftp://user:hidden@host", "http://", "http://user:hidden@h:port"),
        *("http://[::1", "http://h:99999", "http://user:hidden@two words", "http://h/\x00hidden"),
        *("http://user:hidden@ä..b", "http://user:hidden@xn--a", "http://user:hidden@\u200b.x"),
    ],
)
def test_what_is_no_http_url_is_refused_without_repeating_it(url: str) -> None:
    with pytest.raises(InputError, match=r"http://127\.0\.0\.1:8100") as refused:
        parse_address(url)
    assert "hidden" not in str(refused.value)
