"""A request's id is the client's where it is sane, and stands in the answer and in every line."""

from __future__ import annotations

import httpx
import pytest
from fastapi import FastAPI

from prelogit.telemetry.identity import Identified
from prelogit.telemetry.place import here


async def ask(headers: dict[str, str], *, trusts: bool = False) -> tuple[str, list[object]]:
    """The id in the answer, and the place inside."""
    app = FastAPI()

    @app.get("/")
    def look() -> list[object]:
        return list(here())

    app.add_middleware(Identified, trusts_baggage=trusts)
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://x") as http:
        answer = await http.get("/", headers=headers)
    return answer.headers["x-request-id"], answer.json()


@pytest.mark.parametrize("name", ["a", "0af7-651916cd:43dd/8448=", "x" * 128])
async def test_a_sane_id_is_taken(name: str) -> None:
    assert await ask({"x-request-id": name}) == (name, [name, None, None, None, None])


@pytest.mark.parametrize("name", [None, "", "two words", "x" * 129, "<b>", 'a"b'])
async def test_another_is_replaced_by_one_of_its_own(name: str | None) -> None:
    headers = {} if name is None else {"x-request-id": name}
    first, inside = await ask(headers)
    second, _ = await ask(headers)
    assert first != second
    assert len(first) == 32
    assert first not in (name, "")
    assert inside[0] == first


async def test_what_a_caller_says_of_jobs_counts_only_where_it_is_trusted() -> None:
    headers = {
        "x-request-id": "r",
        "baggage": "prelogit.job=job_1,prelogit.prompt=p,prelogit.iteration=2",
    }
    assert (await ask(headers))[1] == ["r", None, None, None, None]
    assert (await ask(headers, trusts=True))[1] == ["r", "job_1", "p", None, 2]
