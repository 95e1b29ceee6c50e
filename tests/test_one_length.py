"""A request that tells its length in two ways is refused, and what stands behind it is not read."""

from __future__ import annotations

import h11
import pytest

from prelogit.one_length import OneLength

HEAD = b"POST / HTTP/1.1\r\nHost: a\r\n"
LENGTH, CHUNKED = b"Content-Length: 5\r\n", b"Transfer-Encoding: chunked\r\n"


@pytest.mark.parametrize("headers", [LENGTH + CHUNKED, CHUNKED + LENGTH])
def test_both_lengths_are_refused(headers: bytes) -> None:
    connection = OneLength(h11.SERVER)
    connection.receive_data(HEAD + headers + b"\r\n0\r\n\r\nGET /hidden HTTP/1.1\r\n\r\n")
    with pytest.raises(h11.RemoteProtocolError, match="both Content-Length"):
        connection.next_event()
    # It is answered, and that is the last.
    refusal = h11.Response(status_code=400, headers=[(b"connection", b"close")])
    assert connection.send(refusal).startswith(b"HTTP/1.1 400")
    connection.send(h11.EndOfMessage())
    assert connection.our_state is h11.MUST_CLOSE


@pytest.mark.parametrize(
    ("headers", "body"), [(LENGTH, b"hello"), (CHUNKED, b"5\r\nhello\r\n0\r\n\r\n")]
)
def test_either_is_taken(headers: bytes, body: bytes) -> None:
    connection = OneLength(h11.SERVER)
    connection.receive_data(HEAD + headers + b"\r\n" + body)
    assert isinstance(connection.next_event(), h11.Request)
    assert connection.next_event().data == b"hello"
