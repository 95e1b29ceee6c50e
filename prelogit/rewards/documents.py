"""What stands in the answer of a service: its bytes, its JSON, and why it refuses."""

from __future__ import annotations

import json
from typing import Any

import httpx

Document = dict[str, Any] | list[Any]

_CODED = frozenset({b"content-encoding", b"content-length", b"transfer-encoding"})


class TooLongError(Exception):
    """An answer that goes on and on."""


async def whole(answer: httpx.Response, most: int) -> httpx.Response:
    """A streamed answer with all of its content, decompressed.

    Args:   most: bytes that it may have.
    Raises: TooLongError: it has more; no more than that is held. httpx.HTTPError: it breaks off.
    """
    content = bytearray()
    async for piece in answer.aiter_bytes():
        content += piece
        if len(content) > most:
            raise TooLongError
    headers = [pair for pair in answer.headers.raw if pair[0].lower() not in _CODED]
    return httpx.Response(answer.status_code, headers=headers, content=bytes(content))


def json_of(answer: httpx.Response) -> Document | None:
    """The object or list of an answer that says it is JSON; None: it holds none."""
    if not is_json(answer.headers.get("content-type", "")):
        return None
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return None
    return document if isinstance(document, (dict, list)) else None


def is_json(content_type: str) -> bool:
    """Whether a content type is JSON's, or that of a format made of it."""
    kind = _kind_of(content_type)
    return kind == "application/json" or (kind.startswith("application/") and "+json" in kind)


def plain_text(answer: httpx.Response) -> str:
    """A refusal in plain text, as frameworks write it before a server's own code has run."""
    text = _kind_of(answer.headers.get("content-type", "")) == "text/plain"
    return answer.text if text else ""


def one_line(text: str) -> str:
    """What others wrote, for a terminal and a database: no control characters, no half surrogates."""
    return " ".join("".join(one if one.isprintable() else " " for one in text).split())


def _kind_of(content_type: str) -> str:
    return content_type.partition(";")[0].strip().lower()


def detail_of(document: dict[str, Any]) -> str:
    """Why a service refuses: a problem's ``detail``, or the ``message`` of OpenAI's errors."""
    error = document.get("error")
    if isinstance(error, dict):
        document = error
    said = document.get("detail") or document.get("message") or error or ""
    if isinstance(said, list):
        return "; ".join(map(_complaint, said))
    return said if isinstance(said, str) else str(said)


def _complaint(one: object) -> str:
    """One entry of FastAPI's list: where and what, without the input that it repeats."""
    if not isinstance(one, dict) or "msg" not in one:
        return str(one)
    place = one.get("loc")
    where = ".".join(map(str, place)) + ": " if isinstance(place, list) else ""
    return f"{where}{one['msg']}"
