"""Every request that a client sends, as data: what to ask, and how to read the answer."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import IO, Any, Generic, NamedTuple, TypeVar
from urllib.parse import quote

import httpx
from pydantic import TypeAdapter

from prelogit.client.body import Body, Prompt, job_body
from prelogit.core.records import Candidate, Result, Trace
from prelogit.wire.jobs import Job, JobPrompt

T = TypeVar("T")

_PAGE = 200  # entries asked for at once
_LARGE_SECONDS = 900.0  # in which a gateway checks and stores a very large job

_candidates = TypeAdapter(list[Candidate])
_results = TypeAdapter(list[Result])
_jobs = TypeAdapter(list[Job])
_prompts = TypeAdapter(list[JobPrompt])


class Page(NamedTuple, Generic[T]):
    """Some entries, and where the next ones begin; None on the last page."""

    data: list[T]
    next_cursor: str | None


class Call(NamedTuple, Generic[T]):
    """One request. ``hold_seconds``: how long the gateway may wait before it answers."""

    method: str
    path: str
    read: Callable[[httpx.Response], T]
    params: Mapping[str, str | int | float] = {}
    headers: Mapping[str, str] = {}
    content: bytes | IO[bytes] | None = None
    hold_seconds: float = 0.0

    def arguments(self, timeout_seconds: float) -> dict[str, Any]:
        """What both kinds of httpx client take for this request; a file is read from its start."""
        if self.content is not None and not isinstance(self.content, bytes):
            self.content.seek(0)
        return {
            "method": self.method,
            "url": self.path,
            "params": self.params,
            "headers": self.headers,
            "content": self.content,
            "timeout": timeout_seconds + self.hold_seconds,
        }


@contextmanager
def submit(
    prompts: Prompt | Iterable[Prompt], fields: Mapping[str, Any], idempotency_key: str | None
) -> Iterator[Call[Job]]:
    """The call is good within this context; it holds no more of a large job than a file."""
    with job_body(prompts, fields) as body:
        call = _posting("/v1/jobs", _job, body)
        if idempotency_key is not None:
            call = call._replace(headers={**call.headers, "Idempotency-Key": idempotency_key})
        yield call


@contextmanager
def estimate(
    prompts: Prompt | Iterable[Prompt], fields: Mapping[str, Any]
) -> Iterator[Call[dict[str, Any]]]:
    with job_body(prompts, fields) as body:
        yield _posting("/v1/jobs/estimate", _mapping, body)


def _posting(path: str, read: Callable[[httpx.Response], T], body: Body) -> Call[T]:
    hold = 0.0 if isinstance(body.content, bytes) else _LARGE_SECONDS
    headers = {"Content-Type": body.media_type}
    return Call("POST", path, read, headers=headers, content=body.content, hold_seconds=hold)


def job(job_id: str, hold_seconds: float = 0.0) -> Call[Job]:
    params = {"wait": hold_seconds} if hold_seconds > 0 else {}
    return Call("GET", _at(job_id), _job, params=params, hold_seconds=hold_seconds)


def jobs(status: str | None, cursor: str | None) -> Call[Page[Job]]:
    params = _page(cursor)
    if status is not None:
        params["status"] = status
    return Call("GET", "/v1/jobs", lambda answer: _paged(_jobs, answer), params=params)


def prompts(job_id: str, cursor: str | None) -> Call[Page[JobPrompt]]:
    path = _at(job_id, "prompts")
    return Call("GET", path, lambda answer: _paged(_prompts, answer), params=_page(cursor))


def prompt(job_id: str, prompt_id: str) -> Call[JobPrompt]:
    path = _at(job_id, "prompts", prompt_id)
    return Call("GET", path, lambda answer: JobPrompt.model_validate(answer.json()))


def results(job_id: str, cursor: str | None) -> Call[Page[Result]]:
    path = _at(job_id, "results")
    return Call("GET", path, lambda answer: _paged(_results, answer), params=_page(cursor))


def result(job_id: str, prompt_id: str) -> Call[Result]:
    return Call("GET", _at(job_id, "results", prompt_id), lambda a: Result.model_validate(a.json()))


def trace(job_id: str, prompt_id: str) -> Call[Trace]:
    path = _at(job_id, "results", prompt_id, "trace")
    return Call("GET", path, lambda answer: Trace.model_validate(answer.json()))


def candidates(job_id: str, prompt_id: str) -> Call[list[Candidate]]:
    path = _at(job_id, "results", prompt_id, "candidates")
    return Call("GET", path, lambda a: _candidates.validate_python(a.json()["data"]))


def events(job_id: str, after: int) -> Call[None]:
    """A stream: its lines are read one by one, not by ``read``; a sign of life comes in between."""
    headers = {"Accept": "text/event-stream", "Last-Event-ID": str(after)}
    return Call("GET", _at(job_id, "events"), _nothing, headers=headers, hold_seconds=60.0)


def cancel(job_id: str) -> Call[Job]:
    return Call("POST", _at(job_id, "cancel"), _job)


def retry(job_id: str) -> Call[Job]:
    return Call("POST", _at(job_id, "retry"), _job)


def delete(job_id: str) -> Call[None]:
    return Call("DELETE", _at(job_id), _nothing)


def catalog(kind: str) -> Call[list[dict[str, Any]]]:
    """What the installation offers: kind is models, methods or rewards."""
    return Call("GET", f"/v1/{kind}", lambda answer: list(answer.json()["data"]))


def ready() -> Call[dict[str, Any]]:
    return Call("GET", "/health/ready", _mapping)


def _at(*parts: str) -> str:
    return "/v1/jobs/" + "/".join(quote(part, safe="") for part in parts)


def _page(cursor: str | None) -> dict[str, str | int | float]:
    return {"limit": _PAGE} if cursor is None else {"limit": _PAGE, "cursor": cursor}


def _paged(entries: TypeAdapter[list[T]], answer: httpx.Response) -> Page[T]:
    body = answer.json()
    return Page(entries.validate_python(body["data"]), body["next_cursor"])


def _job(answer: httpx.Response) -> Job:
    return Job.model_validate(answer.json())


def _mapping(answer: httpx.Response) -> dict[str, Any]:
    return dict(answer.json())


def _nothing(answer: httpx.Response) -> None:
    return None
