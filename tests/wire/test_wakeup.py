"""Every model has a queue of its own, under a name that any broker takes."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.wire.wakeup import queue_of


@given(st.text())
def test_any_name_has_a_queue_of_safe_characters(model: str) -> None:
    assert re.fullmatch(r"prelogit\.[a-z0-9.-]{1,40}-[0-9a-f]{12}", queue_of(model))
    assert queue_of(model) == queue_of(model)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("meta/llama", "mine/llama"),
        ("/models/llama", "/models/llama/"),
        ("Llama", "llama"),
        ("a b", "a-b"),
        ("", "model"),
    ],
)
def test_other_names_have_other_queues(one: str, other: str) -> None:
    assert queue_of(one) != queue_of(other)


def test_a_queue_can_be_recognised_and_never_changes() -> None:
    # Gateways and workers of two versions must meet on it.
    assert queue_of("meta-llama/Llama-3.1-8B") == "prelogit.llama-3.1-8b-ac8584a01edb"
