"""What a refusal, a silence or a broken connection of a service comes to, in words for its user."""

from __future__ import annotations

import httpx

from prelogit.rewards.documents import Document, detail_of, one_line, plain_text

_TRACEBACK = "Traceback (most recent call last)"
_CURES = {
    401: "check the key that it is asked with",
    403: "check the key that it is asked with, and what it may be used for",
    404: "check the URL, the protocol and the name of the model",
    405: "check the URL and the protocol",
}


def failed_with(answer: httpx.Response, document: Document | None) -> int | None:
    """The status that an answer fails with; None: it is a good one.

    Some servers and proxies fail with a good status, and say so in ``error``: its ``code`` counts then.
    """
    if not answer.is_success:
        return answer.status_code
    error = document.get("error") if isinstance(document, dict) else None
    code = error.get("code") if isinstance(error, dict) else None
    return (code if type(code) is int else answer.status_code) if error else None


def reason(answer: httpx.Response, document: Document | None) -> str:
    """What the service says of why it refuses, on one line; "" where it says nothing.

    Of a stack trace, which names files of the server, only what stands before it is told.
    """
    said = detail_of(document) if isinstance(document, dict) else ""
    before, trace, _ = (said or plain_text(answer)).partition(_TRACEBACK)
    line = one_line(before)
    return "it failed, and its log says where" if trace and not line else line


def cure(answer: httpx.Response) -> str:
    """What to do about a refusal, with what stands before it; "" where nobody knows."""
    if answer.is_redirect:
        return "; it redirects, which is not followed: give the URL that it redirects to"
    return f"; {_CURES[answer.status_code]}" if answer.status_code in _CURES else ""


def broken(error: httpx.TransportError) -> str:
    """A transport error in words; its own text could carry the URL."""
    if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
        return "it cannot be connected to"
    return f"the connection broke ({type(error).__name__})"
