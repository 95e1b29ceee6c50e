"""Requests that no client library writes, byte by byte: smuggled, split, folded, oversized, broken off."""

from __future__ import annotations

import random
import socket
from urllib.parse import urlsplit

from tests.promises.bad_input.house import House
from tests.promises.bad_input.tally import Tally

WAIT_SECONDS = 1.0  # for the first byte
SILENT_SECONDS = 0.3  # then nothing more comes
HIDDEN = b"GET /v1/models HTTP/1.1\r\nHost: a\r\n\r\n"
BODY = b'{"prompts": ["a"]}'
_POST = b"POST /v1/jobs HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
_CHUNKED = b"%x\r\n%s\r\n0\r\n\r\n" % (len(BODY), BODY)
# By name: what is sent, the key's header put in after the first line. A hidden request follows those in
# SPLIT; it must not be answered.
SPLIT: dict[str, bytes] = {
    "both lengths, chunks end first": _POST
    + b"Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" % (5 + len(HIDDEN)),
    "both lengths, the other way": _POST
    + b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\n" + _CHUNKED,
    "two lengths": _POST + b"Content-Length: 18\r\nContent-Length: 5\r\n\r\n" + BODY,
    "two lengths in one": _POST + b"Content-Length: 18, 5\r\n\r\n" + BODY,
    "a signed length": _POST + b"Content-Length: +18\r\n\r\n" + BODY,
    "a length in hex": _POST + b"Content-Length: 0x12\r\n\r\n" + BODY,
    "a negative length": _POST + b"Content-Length: -1\r\n\r\n" + BODY,
    "a length with a space": _POST + b"Content-Length : 18\r\n\r\n" + BODY,
    "an unknown coding": _POST + b"Transfer-Encoding: xchunked\r\n\r\n" + _CHUNKED,
    "two codings": _POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n" + _CHUNKED,
    "a coding twice": _POST
    + b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n\r\n" + _CHUNKED,
    "a coding behind a tab": _POST + b"Transfer-Encoding:\x0bchunked\r\n\r\n" + _CHUNKED,
    "a chunk of a negative size": _POST + b"Transfer-Encoding: chunked\r\n\r\n-1\r\na\r\n0\r\n\r\n",
    "a chunk of no size": _POST + b"Transfer-Encoding: chunked\r\n\r\n\r\na\r\n0\r\n\r\n",
    "a chunk in hex": _POST + b"Transfer-Encoding: chunked\r\n\r\n0x12\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a huge chunk": _POST + b"Transfer-Encoding: chunked\r\n\r\n" + b"f" * 40 + b"\r\na",
    "a chunk longer than it says": _POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n" + BODY + b"\r\n0\r\n\r\n",
    "a folded header": b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nX-A: b\r\n\tc\r\nContent-Length: 0\r\n c\r\n\r\n",
    "a bare carriage return": b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nX-A: b\rX-B: c\r\n\r\n",
    "a header without a colon": b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nnonsense\r\n\r\n",
    "a header without a name": b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\n: x\r\n\r\n",
    "NUL in a header": b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nX-A: b\x00c\r\n\r\n",
    "no version": b"GET /v1/jobs\r\n\r\n",
    "a version of the future": b"GET /v1/jobs HTTP/9.9\r\nHost: a\r\n\r\n",
    "two hosts": b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
    "no host": b"GET /v1/jobs HTTP/1.1\r\n\r\n",
    "a space in the address": b"GET /v1/jobs HTTP/1.1 HTTP/1.1\r\nHost: a\r\n\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 60 + b"\r\n\r\n",
}  # fmt: skip
_LONG = b"a" * 200_000
# Answered, or refused; whatever follows is a request of its own.
ODD: dict[str, bytes] = {
    name: b"%s HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n" % line
    for name, line in {
        "NUL in a path": b"GET /v1/jobs/job_%00/results",
        "a raw NUL in a path": b"GET /v1/jobs/job_\x00/results",
        "raw bytes in a path": b"GET /v1/jobs/\xff\xfe\xc0\xaf",
        "a slash, escaped": b"GET /v1/jobs/..%2f..%2fkeys",
        "a slash, escaped twice": b"GET /v1/jobs/%252e%252e%252fkeys",
        "dots": b"GET /v1/jobs/../keys",
        "dots from the root": b"GET /../../../../etc/passwd",
        "half an escape": b"GET /v1/jobs/%zz%4",
        "an overlong escape": b"GET /v1/jobs/%c0%ae%c0%ae",
        "half a character": b"GET /v1/jobs/%ed%a0%80",
        "line ends in a path": b"GET /v1/jobs/%0d%0aSet-Cookie:%20a=b",
        "line ends in a query": b"GET /v1/jobs?cursor=%0d%0aX:%20y",
        "a whole address": b"GET http://evil.example/v1/jobs",
        "two slashes": b"GET //evil.example/v1/jobs",
        "a slash at the end": b"GET /v1/jobs/",
        "a backslash": b"GET /v1\\jobs",
        "an asterisk": b"OPTIONS *",
        "CONNECT": b"CONNECT 127.0.0.1:22",
        "TRACE": b"TRACE /v1/jobs",
        "a method of small letters": b"get /v1/jobs",
        "a method that nobody knows": b"BREW /v1/jobs",
        "a long method": b"A" * 3000 + b" /v1/jobs",
        "a query of thousands": b"GET /v1/jobs?" + b"&".join(b"limit=%d" % one for one in range(3000)),
        "a long number": b"GET /v1/jobs?limit=" + b"9" * 5000,
        "a parameter twice": b"GET /v1/jobs?limit=1&limit=300&cursor=&cursor=a",
        "a semicolon": b"GET /v1/jobs;jsessionid=1",
        "a fragment": b"GET /v1/jobs#a",
    }.items()
} | {
    name: b"GET /v1/jobs HTTP/1.1\r\nHost: a\r\nConnection: close\r\n%s\r\n\r\n" % header
    for name, header in {
        "a long header": b"X-A: " + _LONG,
        "many headers": b"\r\n".join(b"X-%d: a" % one for one in range(5000)),
        "a long key": b"Authorization: Bearer " + _LONG,
        "a key twice": b"Authorization: Bearer a\r\nAuthorization: Bearer b",
        "a key in another scheme": b"Authorization: Basic cGxrXzpwbGtf",
        "a key of bytes": b"Authorization: Bearer plk_\xff\xfe",
        "a sender who names himself": b"X-Forwarded-For: 127.0.0.1\r\nForwarded: for=127.0.0.1",
        "another address in a header": b"X-Original-URL: /v1/keys\r\nX-Rewrite-URL: /v1/keys",
        "another method in a header": b"X-HTTP-Method-Override: DELETE",
        "an upgrade": b"Connection: upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13",
        "an upgrade to HTTP/2": b"Upgrade: h2c\r\nHTTP2-Settings: AAMAAABkAARAAAAAAAIAAAAA",
        "an id of bytes": b"X-Request-Id: \xff\r\ntraceparent: 00-" + b"f" * 200,
        "a foreign page": b"Origin: https://evil.example",
        "an odd event": b"Last-Event-ID: 99999999999999999999999",
        "a range": b"Range: bytes=0-1,0-1,0-1,0-1",
        "a compressed answer": b"Accept-Encoding: gzip;q=1e999, *;q=nan",
    }.items()
} | {
    "a foreign page asks beforehand": b"OPTIONS /v1/jobs HTTP/1.1\r\nHost: a\r\nOrigin: https://evil.example\r\n"
    b"Access-Control-Request-Method: DELETE\r\nConnection: close\r\n\r\n",
    "a page of nowhere asks beforehand": b"OPTIONS /v1/keys HTTP/1.1\r\nHost: a\r\nOrigin: null\r\n"
    b"Access-Control-Request-Method: POST\r\nConnection: close\r\n\r\n",
    "a body that breaks off": _POST + b"Content-Length: 999\r\n\r\n{",
}  # fmt: skip


def run(house: House, *, cases: int, begin: int) -> Tally:
    """All of these, then so many in which bytes were changed. ``begin``: the seed."""
    tally = Tally("raw sockets")
    before = len(house.log)
    for name, sent in SPLIT.items():
        _try(house, tally, name, sent, hidden=True)
    for name, sent in ODD.items():
        _try(house, tally, name, sent)
    chance = random.Random(begin)
    whole = [one for one in (*SPLIT.values(), *ODD.values()) if len(one) < 1000]
    for _ in range(cases - len(SPLIT) - len(ODD)):
        sent = bytearray(chance.choice(whole))
        for _ in range(chance.randint(1, 5)):
            sent[chance.randrange(len(sent))] = chance.choice(b"\x00\t\n\r :,;%/\\\x7f\xff0aZ")
        _try(house, tally, "bytes changed", bytes(sent))
    for line in house.log[before:]:
        if (leak := house.leak(line)) is not None:
            tally.breach(f"a line of the log tells {leak}", line)
    return tally


def _try(house: House, tally: Tally, name: str, sent: bytes, *, hidden: bool = False) -> None:
    key = house.callers[0].headers["Authorization"].encode()
    first, end, rest = sent.partition(b"\r\n")
    if b"Authorization" not in rest:
        rest = b"Authorization: " + key + b"\r\n" + rest
    answer = _answer(house.url, first + end + rest + (HIDDEN if hidden else b""))
    text = answer.decode("latin-1")
    statuses = [line[9:12] for line in text.split("\n") if line.startswith("HTTP/1.1 ")]
    tally.case(f"{name}: {' '.join(statuses) or 'closed'}"[:70])
    seen = f"{sent[:200]!r}: {text[:300]}"
    if any(status.startswith("5") for status in statuses):
        tally.breach(f"{name}: a server error", seen)
    if hidden and len(statuses) > 1:
        tally.breach(f"{name}: the hidden request is answered", seen)
    if name.startswith(("both lengths", "two lengths")) and statuses not in ([], ["400"]):
        tally.breach(f"{name}: it is not refused", seen)
    head = text.partition("\r\n\r\n")[0].lower()
    for wrong in ("set-cookie", "x-injected", "access-control-allow-origin", "evil.example"):
        if wrong in head:
            tally.breach(f"{name}: the answer's head has {wrong}", seen)
    if (leak := house.leak(text)) is not None:
        tally.breach(f"{name}: it tells {leak}", seen)


def _answer(url: str, sent: bytes) -> bytes:
    """All that comes until the server is silent or hangs up."""
    place = urlsplit(url)
    found = b""
    with socket.create_connection((place.hostname or "", place.port or 0), WAIT_SECONDS) as one:
        try:
            one.sendall(sent)
            while piece := one.recv(65536):
                found += piece
                one.settimeout(SILENT_SECONDS)
        except OSError:
            pass  # it has hung up, or says nothing more
    return found
