"""What the gateway holds of a job does not grow with its prompts."""

from __future__ import annotations

import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from tests.api.running import Running

FEW, MANY = 80, 800
LETTERS = 15_000
PAGE = 50
MEGABYTE = 2**20


def content(prompts: int) -> Iterator[bytes]:
    yield b'{"max_new_tokens": 8}\n'
    for number in range(prompts):
        yield b'"%d%s"\n' % (number, b"x" * LETTERS)


class Job:
    """One large job, from its post to its export."""

    def __init__(self, gateway: Running, prompts: int) -> None:
        self._gateway, self._prompts, self._path = gateway, prompts, ""

    def post(self) -> None:
        kind = {"Content-Type": "application/x-ndjson"}
        answer = self._gateway.client.post(
            "/v1/jobs", content=content(self._prompts), headers=kind
        ).json()
        assert answer["counts"]["total"] == self._prompts
        self._path = answer["links"]["self"]

    def look(self) -> None:
        assert len(self._gateway.get(self._path).json()["request"]["prompts"]) == PAGE
        assert len(self._gateway.get("/v1/jobs").json()["data"]) == 1
        for of in ("prompts", "results"):
            page = self._gateway.get(f"{self._path}/{of}", limit=PAGE).json()
            assert len(page["data"]) == PAGE

    def cancel_and_export(self) -> None:
        cancelled = self._gateway.client.post(f"{self._path}/cancel").json()
        assert cancelled["counts"]["cancelled"] == self._prompts
        with self._gateway.client.stream("GET", f"{self._path}/results.jsonl") as lines:
            assert sum(1 for _ in lines.iter_lines()) == self._prompts


def most_held(work: Callable[[], None]) -> int:
    """Bytes that Python held at most while it did this, beyond what it held before."""
    before, _ = tracemalloc.get_traced_memory()
    tracemalloc.reset_peak()
    work()
    return tracemalloc.get_traced_memory()[1] - before


def test_ten_times_as_many_prompts_take_no_more_memory(
    gateway: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("db.prompt_pages", "db.views"):
        monkeypatch.setattr(f"{module}.SHOWN_PROMPTS", PAGE)  # so that both jobs show as many
    held: dict[int, list[int]] = {}
    tracemalloc.start()
    try:
        for prompts in (FEW, FEW, MANY):  # at first things are loaded that stay
            job = Job(gateway, prompts)
            held[prompts] = [most_held(do) for do in (job.post, job.look, job.cancel_and_export)]
    finally:
        tracemalloc.stop()
    more = LETTERS * (MANY - FEW)  # bytes of the second job beyond those of the first
    for step, few, many in zip(("post", "look", "export"), held[FEW], held[MANY], strict=True):
        assert many - few < more / 5, (step, few / MEGABYTE, many / MEGABYTE)
