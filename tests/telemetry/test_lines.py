"""A log line says what it is about: once, on one line, whatever a user called it."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import sys
import threading
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.telemetry import lines
from prelogit.telemetry.baggage import packed, unpacked
from prelogit.telemetry.lines import JsonLines, LogFormat, TextLines
from prelogit.telemetry.place import Place, at, enter, here

TEXT = "%(levelname)s %(name)s: %(message)s"


class Logged:
    """A logger of its own, and what it wrote."""

    def __init__(self, formatter: logging.Formatter) -> None:
        self._out = io.StringIO()
        handler = logging.StreamHandler(self._out)
        handler.setFormatter(formatter)
        self.log = logging.Logger("some")
        self.log.addHandler(handler)

    @property
    def lines(self) -> list[str]:
        return self._out.getvalue().removesuffix("\n").split("\n")

    @property
    def objects(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.lines]


def test_text_is_as_ever_where_there_is_nothing_to_add() -> None:
    logged = Logged(TextLines(TEXT))
    logged.log.info("plain %d", 1)
    with at(job="job_1", prompt="p 1", iteration=2):
        logged.log.info("iteration job=%s prompt=%r arm=0 k=%d", "job_1", "p 1", 2)
    assert logged.lines == [
        "INFO some: plain 1",
        "INFO some: iteration job=job_1 prompt='p 1' arm=0 k=2",
    ]


def test_what_comes_from_outside_begins_no_line_of_its_own() -> None:
    logged = Logged(TextLines(TEXT))
    logged.log.info("GET %s: refused", "/v1/jobs/\nERROR some: forged\x1b[2J\u2028é\ud800")
    assert logged.lines == [
        r"INFO some: GET /v1/jobs/\nERROR some: forged\x1b[2J\u2028é\ud800: refused"
    ]


def test_text_gets_what_the_message_does_not_say() -> None:
    logged = Logged(TextLines(TEXT))
    with at(request="abc", job="job_1"):
        logged.log.info("waits")
        with at(prompt="two\nlines", iteration=3):
            logged.log.info("failed job=job_1")
        logged.log.info("told", extra={"prompt": "p9"})
    with at(job="forged\nERROR some: line"):
        logged.log.info("asked")
    assert logged.lines == [
        "INFO some: waits job=job_1 request=abc",
        "INFO some: failed job=job_1 prompt='two\\nlines' iteration=3 request=abc",
        "INFO some: told job=job_1 prompt='p9' request=abc",
        "INFO some: asked job='forged\\nERROR some: line'",
    ]


def test_a_stack_trace_stays_below_its_line() -> None:
    logged = Logged(TextLines(TEXT))
    with at(job="job_1"):
        try:
            raise ValueError("oh")
        except ValueError:
            logged.log.exception("broken")
    assert logged.lines[0] == "ERROR some: broken job=job_1"
    assert logged.lines[-1] == "ValueError: oh"


def test_json_is_one_object_a_line_with_its_time_in_utc() -> None:
    logged = Logged(JsonLines("worker"))
    with at(request="abc", job="job_1", prompt="ü\n\u2028\ud800", iteration=2):
        logged.log.warning("two\nlines of %s", "text")
    logged.log.info("plain")
    try:
        raise ValueError("oh")
    except ValueError:
        logged.log.exception("broken")
    first, second, third = logged.objects
    time = datetime.fromisoformat(first.pop("time"))
    assert time.utcoffset() is not None
    assert time.utcoffset().total_seconds() == 0  # type: ignore[union-attr]
    assert first == {
        "level": "WARNING", "process": "worker", "logger": "some", "message": "two\nlines of text",
        "job": "job_1", "prompt": "ü\n\u2028\ud800", "iteration": 2, "request_id": "abc",
    }  # fmt: skip
    assert set(second) == {"time", "level", "process", "logger", "message"}
    assert third["exception"].endswith("ValueError: oh")


@pytest.fixture
def root_restored() -> Iterator[None]:
    root = logging.getLogger()
    before = root.handlers[:], root.level
    yield
    root.handlers[:], root.level = before[0], before[1]


@pytest.mark.parametrize("form", ["text", "json"])
def test_all_loggers_of_a_process_write_in_one_form(
    form: LogFormat, root_restored: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = io.StringIO()
    monkeypatch.setattr(sys, "stderr", out)
    lines.configure(form, process="gateway", text=TEXT, level=logging.INFO)
    logging.getLogger("anyone").info("hello")
    logging.getLogger("anyone").debug("not shown")
    (line,) = out.getvalue().splitlines()
    if form == "text":
        assert line == "INFO anyone: hello"
    else:
        assert json.loads(line)["process"] == "gateway"


def test_tasks_and_threads_inherit_their_place_and_keep_their_own() -> None:
    async def inside(number: int) -> tuple[Place, Place]:
        enter(prompt=f"p{number}")
        await asyncio.sleep(0)
        return here(), await asyncio.to_thread(here)

    async def both() -> list[tuple[Place, Place]]:
        return await asyncio.gather(inside(1), inside(2))

    with at(job="job_1"):
        found = asyncio.run(both())
    assert found == [(Place(job="job_1", prompt=f"p{n}"),) * 2 for n in (1, 2)]
    assert here() == Place()
    apart: list[Place] = []
    with at(job="job_1"):
        thread = threading.Thread(target=lambda: apart.append(here()))
        thread.start()
        thread.join()
    assert apart == [Place()], "a thread of its own works on its own"


@given(
    st.text(alphabet="abcXYZ019_.-", min_size=1, max_size=64),
    st.text(min_size=1, max_size=200),
    st.integers(1, 999_999_999),
)
def test_what_a_worker_tells_arrives(job: str, prompt: str, iteration: int) -> None:
    header = packed(Place(request="r", job=job, prompt=prompt, iteration=iteration))
    assert header.isascii()
    assert unpacked(f"theirs=1, {header},x") == {
        "job": job, "prompt": prompt, "iteration": iteration
    }  # fmt: skip


@given(st.text())
def test_a_strange_header_tells_nothing_and_breaks_nothing(header: str) -> None:
    assert unpacked(header) == {}
    assert unpacked("prelogit.job=a%0Ab,prelogit.iteration=x" + "9" * 5000) == {}
