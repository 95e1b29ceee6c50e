"""When a server says that it wants to be asked again."""

from __future__ import annotations

import time
from email.utils import formatdate

import httpx
import pytest

from prelogit.egress.retry_after import retry_after


def answer(said: str) -> httpx.Response:
    return httpx.Response(503, headers=[(b"retry-after", said.encode())])


def test_seconds_and_dates_are_read() -> None:
    assert retry_after(answer("45")) == 45
    assert 3000 < retry_after(answer(formatdate(time.time() + 3600, usegmt=True))) <= 3600
    assert retry_after(httpx.Response(503)) == 0


@pytest.mark.parametrize(
    "said",
    [
        *("", "soon", "-5", "nan", "inf", "1e400", "٣"),
        *("Fri, 01 Jan 1990 00:00:00 GMT", "Fri, 99 Foo 2026 00:00:00 GMT"),
        *("Mon, 01 Jan 0001 00:00:00 +2359", "Mon, 01 Jan 0001 00:00:00 -0000"),
    ],
)
def test_a_time_that_is_none_is_not_waited_for(said: str) -> None:
    assert retry_after(answer(said)) == 0
