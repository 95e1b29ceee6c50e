"""Bodies of every request: a valid one is taken, a changed one is taken or refused by its field's name."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import httpx
from hypothesis import given, seed
from hypothesis import strategies as st

from tests.promises.bad_input import valid
from tests.promises.bad_input.generated import generated
from tests.promises.bad_input.house import House
from tests.promises.bad_input.tally import Tally
from tests.promises.bad_input.wrong import Mutation, broken_bytes, mutations

PROBLEM = "application/problem+json"
# A field that is compared with others: what is wrong with those may be told of it.
COMPARED = {
    "prompts": ("budget",),
    "method": ("budget", "baselines"),
    "reward": ("held_out",),
    "held_out": ("stop",),
}
LINES = {"Content-Type": "application/x-ndjson"}
JSON = {"Content-Type": "application/json"}


def run(house: House, *, cases: int, begin: int) -> Tally:
    """So many bodies in all, of which a quarter is valid. ``begin``: the seed."""
    tally = Tally("request bodies")
    before = len(house.log)
    admin = house.callers[0].headers
    with httpx.Client(base_url=house.url, timeout=120, headers=admin) as client:
        asking = _Asking(house, client, tally)
        for strategy, check, share in (
            (valid.JOBS, asking.valid_job, 0.15),
            (valid.KEYS, asking.valid_key, 0.05),
            (st.tuples(valid.JOB_SETTINGS, valid.PROMPTS), asking.valid_lines, 0.1),
            (valid.JOBS.flatmap(mutations), asking.changed_job, 0.35),
            (valid.KEYS.flatmap(mutations), asking.changed_key, 0.05),
            (_lines().flatmap(mutations), asking.changed_lines, 0.1),
            (valid.JOBS.map(written).flatmap(broken_bytes), asking.broken_job, 0.1),
            (_lines().map(joined).flatmap(broken_bytes), asking.broken_lines, 0.1),
        ):
            _each(strategy, check, max(1, round(cases * share)), begin)
    for line in house.log[before:]:
        if (leak := house.leak(line)) is not None:
            tally.breach(f"a line of the log tells {leak}", line)
    return tally


def _each(
    strategy: st.SearchStrategy[Any], check: Callable[[Any], None], cases: int, begin: int
) -> None:
    @seed(begin)
    @generated(cases)
    @given(strategy)
    def one(value: Any) -> None:
        check(value)

    one()


def _lines() -> st.SearchStrategy[list[Any]]:
    return st.builds(lambda first, rest: [first, *rest], valid.JOB_SETTINGS, valid.PROMPTS)


def written(value: Any) -> bytes:
    """As JSON; half characters are written as their escapes, NaN as itself."""
    return json.dumps(value).encode()


def joined(lines: Any) -> bytes:
    """A JSON value a line."""
    parts = lines if isinstance(lines, list) else [lines]
    return b"\n".join(map(written, parts))


class _Asking:
    """Sends bodies as the admin of the first project, and holds the answers against the promises."""

    def __init__(self, house: House, client: httpx.Client, tally: Tally) -> None:
        self._house, self._client, self._tally = house, client, tally

    def valid_job(self, job: Any) -> None:
        answer = self._send("/v1/jobs", written(job), JSON, "valid")
        self._expect(answer.status_code == 202, "a valid job is refused", answer)
        told = self._send("/v1/jobs/estimate", written(job), JSON, "valid")
        self._expect(
            told.status_code == 200 and not told.json()["problems"],
            "a valid job is estimated as one that is refused",
            told,
        )

    def valid_key(self, key: Any) -> None:
        answer = self._send("/v1/keys", written(key), JSON, "valid")
        self._expect(answer.status_code == 201, "a valid key is refused", answer)

    def valid_lines(self, parts: tuple[Any, list[Any]]) -> None:
        answer = self._send("/v1/jobs", joined([parts[0], *parts[1]]), LINES, "valid lines")
        self._expect(answer.status_code == 202, "valid lines are refused", answer)

    def changed_job(self, changed: Mutation) -> None:
        answer = self._send("/v1/jobs", written(changed.value), JSON, "one place changed")
        if changed.at:
            self._names(answer, str(changed.at[0]))

    def changed_key(self, changed: Mutation) -> None:
        answer = self._send("/v1/keys", written(changed.value), JSON, "one place changed")
        if changed.at:
            self._names(answer, str(changed.at[0]))

    def changed_lines(self, changed: Mutation) -> None:
        self._send("/v1/jobs", joined(changed.value), LINES, "lines, one place changed")

    def broken_job(self, content: bytes) -> None:
        self._send("/v1/jobs", content, JSON, "bytes changed")

    def broken_lines(self, content: bytes) -> None:
        self._send("/v1/jobs", content, LINES, "lines, bytes changed")

    def _send(
        self, path: str, content: bytes, headers: dict[str, str], what: str
    ) -> httpx.Response:
        answer = self._client.post(path, content=content, headers=headers)
        status = answer.status_code
        self._tally.case(f"POST {path} {what} {status}")
        self._expect(status < 500, f"{status}", answer)
        text = answer.text + repr(dict(answer.headers))
        if path == "/v1/keys" and status == 201:
            self._house.leaks.secrets.add(answer.json()["key"].rsplit("_", 1)[1])
        elif (leak := self._house.leak(text, content.decode("utf-8", "replace"))) is not None:
            self._expect(False, f"it tells {leak}", answer)
        if 400 <= status < 500:
            self._expect(
                answer.headers["content-type"] == PROBLEM, "it is no problem document", answer
            )
        if status == 422:
            wrong = answer.json()["errors"]
            named = wrong and all(one["field"] and one["message"] for one in wrong)
            self._expect(named, "no field is named", answer)
        return answer

    def _names(self, answer: httpx.Response, changed: str) -> None:
        """One place was changed, so that is what the answer must speak of; or of prompts, which are
        measured by the rest."""
        if answer.status_code != 422:
            return
        fields = [one["field"] for one in answer.json()["errors"]]
        near = (changed, changed[:100] + "…", "body", "prompts", *COMPARED.get(changed, ()))
        named = any(one == name or one.startswith(f"{name}.") for one in fields for name in near)
        self._expect(named, "another field is named than what was changed", answer)

    def _expect(self, held: object, what: str, answer: httpx.Response) -> None:
        if not held:
            sent = answer.request.content[:300]
            self._tally.breach(
                f"{answer.request.method} {answer.request.url.path}: {what}",
                f"{sent!r}: {answer.status_code} {answer.text[:300]}",
            )
