"""What stands in the answer of a service: its JSON, and why it refuses."""

from __future__ import annotations

import json
from typing import Any

import httpx

Document = dict[str, Any] | list[Any]


def json_of(answer: httpx.Response) -> Document | None:
    """The object or list of an answer that says it is JSON; None: it holds none."""
    kind = _kind(answer)
    if not (kind == "application/json" or (kind.startswith("application/") and "+json" in kind)):
        return None
    try:
        document = json.loads(answer.content)
    except (ValueError, RecursionError):  # not JSON, not UTF-8, or nested without end
        return None
    return document if isinstance(document, (dict, list)) else None


def plain_text(answer: httpx.Response) -> str:
    """A refusal in plain text, as frameworks write it before a server's own code has run."""
    return " ".join(answer.text.split()) if _kind(answer) == "text/plain" else ""


def _kind(answer: httpx.Response) -> str:
    return str(answer.headers.get("content-type", "").partition(";")[0].strip().lower())


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
