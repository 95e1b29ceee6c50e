"""Signatures of webhooks, as a receiver checks them."""

from __future__ import annotations

import hashlib
import hmac
import json
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from prelogit.webhooks import SignatureError, sign, verify
from tests.packaging.pages import DOCS, blocks
from tests.workers.processes import free_port

BODY = b'{"id":"evt_1","event":"job.ended"}'
SECRET = "a secret of the installation"


def now() -> int:
    return int(time.time())


def test_what_was_signed_is_believed() -> None:
    header = sign(BODY, [SECRET], at=now())
    assert verify(BODY, header, SECRET) == {"id": "evt_1", "event": "job.ended"}
    assert verify(BODY.decode(), header, SECRET)["id"] == "evt_1"


def test_the_signature_is_the_hmac_of_time_dot_body() -> None:
    mac = hmac.new(SECRET.encode(), b"17." + BODY, hashlib.sha256).hexdigest()
    assert sign(BODY, [SECRET], at=17) == f"t=17,v1={mac}"


def test_while_a_secret_is_changed_either_is_good() -> None:
    header = sign(BODY, ["the new one", SECRET], at=now())
    assert header.count("v1=") == 2
    for secret in (SECRET, "the new one"):
        assert verify(BODY, header, secret)["id"] == "evt_1"


@pytest.mark.parametrize(
    ("body", "secret"), [(BODY + b" ", SECRET), (BODY, SECRET + "x"), (b"", SECRET)]
)
def test_what_was_changed_is_not_believed(body: bytes, secret: str) -> None:
    with pytest.raises(SignatureError, match="not signed with this secret") as refused:
        verify(body, sign(BODY, [SECRET], at=now()), secret)
    assert SECRET not in str(refused.value)


def test_another_time_is_not_believed() -> None:
    mac = sign(BODY, [SECRET], at=now()).partition(",")[2]
    with pytest.raises(SignatureError, match="not signed"):
        verify(BODY, f"t={now() + 9},{mac}", SECRET)


@pytest.mark.parametrize("off", [-400, 400])
def test_what_is_old_or_ahead_is_not_believed(off: int) -> None:
    header = sign(BODY, [SECRET], at=now() + off)
    with pytest.raises(SignatureError, match="300 s"):
        verify(BODY, header, SECRET)
    assert verify(BODY, header, SECRET, tolerance_seconds=900)["id"] == "evt_1"


@pytest.mark.parametrize(
    "header",
    [None, "", "v1=00", "t=1", "t=1,v2=00", "t=x,v1=00", "t=1,t=2,v1=00", "t=\u0661,v1=00"],
)
def test_a_header_that_is_none_is_named(header: str | None) -> None:
    with pytest.raises(SignatureError, match="Prelogit-Signature is missing"):
        verify(BODY, header, SECRET)


def test_odd_signatures_are_wrong_and_no_accident() -> None:
    for odd in ("v1=é", "v1=", "v1=" + "0" * 100_000):
        with pytest.raises(SignatureError, match="not signed"):
            verify(BODY, f"t={now()},{odd}", SECRET)


def test_the_receiver_of_the_page_believes_what_is_signed_alone(tmp_path: Path) -> None:
    port = free_port()
    (code,) = [one for one in blocks(DOCS / "webhooks.md", "python") if "do_POST" in one]
    assert "9000" in code
    (tmp_path / "webhook-secret").write_text(SECRET + "\n")
    body = json.dumps(
        {"id": "evt_1", "event": "job.ended", "job": {"id": "job_1", "status": "failed"}}
    )
    signed = {"Prelogit-Signature": sign(body.encode(), [SECRET], at=now())}
    url = f"http://127.0.0.1:{port}/"
    with subprocess.Popen(
        [sys.executable, "-c", code.replace("9000", str(port))],
        cwd=tmp_path,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as receiver:
        try:
            connection = httpx.HTTPTransport(retries=10)
            with httpx.Client(transport=connection, trust_env=False) as sender:
                assert sender.post(url, content=body).status_code == 400
                for _ in range(2):
                    assert sender.post(url, content=body, headers=signed).status_code == 204
        finally:
            receiver.kill()
        assert receiver.stdout is not None
        assert receiver.stdout.read() == "job.ended job_1 failed\n"
