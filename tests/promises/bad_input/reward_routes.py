"""The reward service's addresses, with what its OpenAPI document allows and with what it does not."""

from __future__ import annotations

from typing import Any

import schemathesis
from hypothesis import given, seed
from hypothesis.errors import Unsatisfiable
from hypothesis.strategies import booleans
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)

from tests.promises.bad_input.generated import generated
from tests.promises.bad_input.house import House
from tests.promises.bad_input.tally import Tally

CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
    unsupported_method,
]


def run(house: House, *, cases: int, begin: int) -> Tally:
    """So many cases of each operation, half of them allowed. ``begin``: the seed."""
    tally = Tally("the reward service by its OpenAPI document")
    before = len(house.log)
    schema = schemathesis.openapi.from_dict(house.rewards.app.openapi())
    schema.config.update(base_url=house.rewards.url)
    for found in schema.get_all_operations():
        for mode in GenerationMode:
            _call(found.ok(), mode, house, tally, max(1, cases // 2), begin)
    for line in house.log[before:]:
        if (leak := house.leak(line)) is not None:
            tally.breach(f"a line of the log tells {leak}", line)
    return tally


def _call(
    operation: Any, mode: GenerationMode, house: House, tally: Tally, cases: int, begin: int
) -> None:
    @seed(begin)
    @generated(cases)
    @given(case=operation.as_strategy(generation_mode=mode), named=booleans())
    def check(case: Any, named: bool) -> None:
        if named:
            # Names are seldom guessed.
            case.query["reward"] = "length"
            if isinstance(case.body, dict):
                field = "reward" if "conversations" in case.body else "model"
                case.body[field] = "length"
        response = case.call()
        tally.case(f"{operation.label} {mode.value} {response.status_code}")
        text = response.content.decode("utf-8", "replace") + repr(dict(response.headers))
        told = f"{case.as_curl_command()}: {response.status_code} {text}"
        try:
            case.validate_response(response, checks=CHECKS)
        except FailureGroup as group:
            for one in group.exceptions:
                what = f"{operation.label}: {type(one).__name__} {one.title} {one.message}"
                tally.breach(what, told)
        if (leak := house.leak(text)) is not None:
            tally.breach(f"{operation.label}: it tells {leak}", told)

    try:
        check()
    except Unsatisfiable:
        # Where every text is a valid input there is nothing to get wrong.
        if mode is not GenerationMode.NEGATIVE:
            raise
