"""The client that blocks."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import TracebackType
from typing import Any, Self, TypeVar, Unpack

import httpx

from prelogit.client import calls
from prelogit.client.address import api_key, connection, gateway_url
from prelogit.client.answers import problem_of, reaching, read
from prelogit.client.body import JobFields, Prompt
from prelogit.client.calls import Call, Page
from prelogit.client.events import Event, Trail
from prelogit.client.patience import PAUSE_SECONDS, Patience
from prelogit.core.errors import ServiceError
from prelogit.core.records import Candidate, Result, Trace
from prelogit.wire.jobs import ENDED, Job, JobPrompt

T = TypeVar("T")


class Client:
    """Posts jobs to a gateway and reads them; usable as a context.

    The URL is ``base_url``, else PRELOGIT_URL, else http://127.0.0.1:8000; the API key is
    ``key``, else PRELOGIT_API_KEY, else none.
    Every method raises ServiceError, with the gateway's own words, when it refuses.
    """

    def __init__(
        self,
        base_url: str | None = None,
        *,
        key: str | None = None,
        timeout_seconds: float = 30.0,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.url = gateway_url(base_url)
        self._timeout = timeout_seconds
        arguments = connection(self.url, timeout_seconds, api_key(key))
        self._http = httpx.Client(**arguments, transport=transport)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def submit(
        self,
        prompts: Prompt | Iterable[Prompt],
        *,
        idempotency_key: str | None = None,
        **fields: Unpack[JobFields],
    ) -> JobHandle:
        """Post a job. With an idempotency key the same post again gives the same job.

        Any iterable will do: however many prompts it gives, they are not held.
        """
        with calls.submit(prompts, fields, idempotency_key) as call:
            return JobHandle(self, self.send(call))

    def estimate(
        self, prompts: Prompt | Iterable[Prompt], **fields: Unpack[JobFields]
    ) -> dict[str, Any]:
        """What a job would cost, and every reason for which it would be refused."""
        with calls.estimate(prompts, fields) as call:
            return self.send(call)

    def job(self, job_id: str) -> JobHandle:
        """A job that was posted before."""
        return JobHandle(self, self.send(calls.job(job_id)))

    def jobs(self, *, status: str | None = None) -> Iterator[JobHandle]:
        """All jobs, newest first, page by page."""
        cursor: str | None = None
        while True:
            page = self.send(calls.jobs(status, cursor))
            yield from (JobHandle(self, job) for job in page.data)
            cursor = page.next_cursor
            if cursor is None:
                return

    def send(self, call: Call[T]) -> T:
        """Ask the gateway and read its answer."""
        with reaching(self.url):
            answer = self._http.request(**call.arguments(self._timeout))
        return read(call, answer, self.url)

    @contextmanager
    def lines(self, call: Call[Any]) -> Iterator[Iterator[str]]:
        """The lines of an answer that is streamed."""
        with reaching(self.url), self._http.stream(**call.arguments(self._timeout)) as answer:
            if not answer.is_success:
                answer.read()
                raise problem_of(answer, self.url)
            yield answer.iter_lines()


class JobHandle:
    """A job at the gateway. ``job`` is how it stood when it was last asked about."""

    def __init__(self, client: Client, job: Job) -> None:
        self._client = client
        self.job = job

    def __repr__(self) -> str:
        return f"<JobHandle {self.id} {self.status}>"

    @property
    def id(self) -> str:
        """The job's id."""
        return self.job.id

    @property
    def status(self) -> str:
        """The job's status when it was last asked about."""
        return self.job.status

    def refresh(self, *, hold_seconds: float = 0.0) -> Job:
        """Ask again; with ``hold_seconds`` the answer comes once the status changes."""
        self.job = self._client.send(calls.job(self.id, hold_seconds))
        return self.job

    def wait(
        self, timeout: float | None = None, on_update: Callable[[Job], None] | None = None
    ) -> Job:
        """Returns once the job has ended, however it did; ``on_update`` hears of the progress.

        Raises: TimeoutError: after ``timeout`` seconds; the job goes on.
        """
        patience = Patience(timeout, watched=on_update is not None)
        while True:
            try:
                job = self.refresh(hold_seconds=patience.hold_seconds())
            except ServiceError as error:
                time.sleep(patience.forgive(error))
                continue
            if on_update is not None:
                on_update(job)
            if job.status in ENDED:
                return job
            patience.check(job)

    def prompts(self) -> Iterator[JobPrompt]:
        """All prompts in their order, page by page; ``job.request`` shows the first of many."""
        return self._pages(calls.prompts)

    def prompt(self, prompt_id: str) -> JobPrompt:
        """One prompt."""
        return self._client.send(calls.prompt(self.id, prompt_id))

    def results(self) -> Iterator[Result]:
        """A result for each prompt in its order, page by page; also while the job runs."""
        return self._pages(calls.results)

    def _pages(self, of: Callable[[str, str | None], Call[Page[T]]]) -> Iterator[T]:
        cursor: str | None = None
        while True:
            page = self._client.send(of(self.id, cursor))
            yield from page.data
            cursor = page.next_cursor
            if cursor is None:
                return

    def result(self, prompt_id: str) -> Result:
        """The result of one prompt."""
        return self._client.send(calls.result(self.id, prompt_id))

    def trace(self, prompt_id: str) -> Trace:
        """All iterations of one prompt."""
        return self._client.send(calls.trace(self.id, prompt_id))

    def candidates(self, prompt_id: str) -> list[Candidate]:
        """The candidates of one prompt that were kept."""
        return self._client.send(calls.candidates(self.id, prompt_id))

    def events(self, after: int = 0) -> Iterator[Event]:
        """What happens to the job, until it has ended; goes on where a connection was cut."""
        trail, patience = Trail(after), Patience()
        while True:
            trail.begin()
            try:
                seen = trail.last
                with self._client.lines(calls.events(self.id, trail.last)) as lines:
                    for line in lines:
                        if (event := trail.feed(line)) is not None:
                            yield event
                if trail.ended or (trail.last == seen and self.refresh().status in ENDED):
                    return
                patience.check(self.job)
                pause = PAUSE_SECONDS
            except ServiceError as error:
                pause = patience.forgive(error)
            time.sleep(pause)

    def cancel(self) -> Job:
        """Stop the job; what is finished stays."""
        self.job = self._client.send(calls.cancel(self.id))
        return self.job

    def retry(self) -> Job:
        """Run again what failed or was cancelled."""
        self.job = self._client.send(calls.retry(self.id))
        return self.job

    def delete(self) -> None:
        """Delete the ended job with all that belongs to it."""
        self._client.send(calls.delete(self.id))
