"""From what a gateway answers to a value or to an error that a user can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx
from pydantic import ValidationError

from prelogit.client.calls import Call
from prelogit.core.errors import ServiceError

T = TypeVar("T")

UNREACHABLE = 0  # the status of a ServiceError without any answer


def read(call: Call[T], answer: httpx.Response, url: str) -> T:
    """The value of a good answer.

    Raises: ServiceError: the gateway's problem in words, or an answer that is not a gateway's.
    """
    if not answer.is_success:
        raise problem_of(answer, url)
    try:
        return call.read(answer)
    except (ValidationError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ServiceError(
            f"what answers at {url} is no Prelogit gateway of this version: check the URL, and use "
            "client and gateway of the same version",
            status=answer.status_code,
        ) from error


def problem_of(answer: httpx.Response, url: str) -> ServiceError:
    """The error that a bad answer means; fields that are wrong are named one a line."""
    try:
        problem: dict[str, Any] = dict(answer.json())
        text = str(problem["detail"])
        wrong = [f"{one['field']}: {one['message']}" for one in problem.get("errors", [])]
    except (ValueError, KeyError, TypeError, RecursionError):
        reason = f"{answer.status_code} {answer.reason_phrase}".strip()
        return ServiceError(f"{url} answered {reason}", status=answer.status_code)
    if len(wrong) > 1:
        text = "\n  ".join([text, *wrong])
    if answer.status_code == 401:
        text = f"{text} (set PRELOGIT_API_KEY, or in Python Client(url, key=…))"
    later = answer.headers.get("Retry-After", "")
    return ServiceError(
        text,
        status=answer.status_code,
        problem=problem,
        retry_after_seconds=float(later) if later.isdecimal() else None,
    )


@contextmanager
def reaching(url: str) -> Iterator[None]:
    """Turns every failure of the connection into a ServiceError that names the cure."""
    try:
        yield
    except httpx.ConnectError as error:
        raise ServiceError(
            f"no gateway answers at {url}: start one with `prelogit up`, or set PRELOGIT_URL",
            status=UNREACHABLE,
        ) from error
    except httpx.TimeoutException as error:
        raise ServiceError(
            f"the gateway at {url} did not answer in time: try again", status=UNREACHABLE
        ) from error
    except httpx.InvalidURL as error:
        raise ServiceError(
            f"{url!r} is no URL ({error}): use one such as http://127.0.0.1:8000",
            status=UNREACHABLE,
        ) from error
    except httpx.TransportError as error:
        cure = "use http://…" if isinstance(error, httpx.UnsupportedProtocol) else "try again"
        raise ServiceError(
            f"the connection to {url} failed ({type(error).__name__}): {cure}", status=UNREACHABLE
        ) from error
