"""Whatever is sent: no server error, no stack trace, no path, no secret, nothing of another project.

The short forms; ``python -m tests.promises.bad_input`` tries as many cases as it is told.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.promises.bad_input import answers, bodies, chains, files, reward_routes, scorers, sockets
from tests.promises.bad_input.house import House, house
from tests.promises.bad_input.tally import Tally

BEGIN = random.SystemRandom().randrange(10**6)
AGAIN = f"again: python -m tests.promises.bad_input --seed {BEGIN}"


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house on SQLite for all of these tests."""
    with house(tmp_path_factory.mktemp("house")) as one:
        yield one


def clean(tally: Tally) -> None:
    assert tally.breaches == [], AGAIN
    assert tally.cases > 0


def test_chains_of_requests_break_no_promise(fresh_postgres: str, tmp_path: Path) -> None:
    with house(tmp_path, fresh_postgres) as one:
        tally = chains.run(one, chains=8, steps=10, begin=BEGIN)
    clean(tally)
    assert any(what.startswith("POST /v1/jobs 202") for what in tally.counted)


def test_the_reward_service_breaks_no_promise(built: House) -> None:
    clean(reward_routes.run(built, cases=4, begin=BEGIN))


def test_bodies_are_taken_or_refused_by_the_field_s_name(built: House) -> None:
    clean(bodies.run(built, cases=80, begin=BEGIN))


def test_files_are_read_or_refused_by_their_name(tmp_path: Path) -> None:
    clean(files.run(tmp_path, cases=240, begin=BEGIN))


def test_requests_that_no_library_writes_are_one_request_or_none(built: House) -> None:
    clean(sockets.run(built, cases=len(sockets.SPLIT) + len(sockets.ODD), begin=BEGIN))


def test_answers_that_no_gateway_gives_are_errors_of_the_service(built: House) -> None:
    clean(answers.run(built, cases=80, begin=BEGIN))


def test_answers_that_no_reward_server_gives_never_become_a_reward() -> None:
    clean(scorers.run(cases=90, begin=BEGIN))
