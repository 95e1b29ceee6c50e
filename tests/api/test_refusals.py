"""What the store refused is remembered for half a minute."""

from __future__ import annotations

from psycopg import errors
from sqlalchemy.exc import OperationalError

from api.health.refusals import REMEMBERED_SECONDS, Refusals

FULL = OperationalError("INSERT", {}, errors.DiskFull())
SILENT = OperationalError("INSERT", {}, errors.ConnectionFailure())


def test_what_was_refused_is_told_until_its_time_is_over() -> None:
    seconds = 100.0
    refusals = Refusals(lambda: seconds)
    assert refusals.lately() is None
    refusals.note(FULL)
    seconds += REMEMBERED_SECONDS
    assert "the store's disk is full" in str(refusals.lately())
    seconds += 1
    assert refusals.lately() is None
    refusals.note(FULL)
    assert "the store's disk is full" in str(refusals.lately())


def test_a_store_that_is_silent_is_no_refusal() -> None:
    refusals = Refusals()
    refusals.note(SILENT)
    assert refusals.lately() is None
    refusals.note(FULL)
    refusals.note(SILENT)
    assert "the store's disk is full" in str(refusals.lately())
