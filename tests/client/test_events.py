"""From lines to events; what is no event of a gateway is an error of the service."""

from __future__ import annotations

import pytest

from prelogit.client.events import Event, Trail
from prelogit.core.errors import ServiceError


def test_an_event_is_read_line_by_line() -> None:
    trail = Trail()
    lines = ("id: 7", "event: job", 'data: {"status": "succeeded"}')
    assert [trail.feed(line) for line in lines] == [None] * 3
    assert trail.feed("") == Event(7, "job", {"status": "succeeded"})
    assert (trail.last, trail.ended) == (7, True)


@pytest.mark.parametrize(
    "lines",
    [
        ("data: {",),
        ("data: []",),
        ("data: null",),
        ("id: x", "data: {}"),
        (f"data: {'[' * 100_000}",),
    ],
)
def test_what_is_no_event_is_told(lines: tuple[str, ...]) -> None:
    trail = Trail()
    for line in lines:
        trail.feed(line)
    with pytest.raises(ServiceError, match="an event of the job cannot be read"):
        trail.feed("")
