"""The settings that name an installation's models."""

from __future__ import annotations

import pytest

from prelogit.wire.models import model_names, offered_models


@pytest.mark.parametrize(
    ("given", "names"),
    [
        ("a", ["a"]),
        (" a , meta/b,, ", ["a", "meta/b"]),
        ('["a", "b, with a comma"]', ["a", "b, with a comma"]),
        ("", None),
        (" , ", None),
        (("a", "b"), ("a", "b")),
        (None, None),
    ],
)
def test_a_list_is_json_or_has_commas(given: object, names: object) -> None:
    assert model_names(given) == names


def test_broken_json_says_how_it_is_written() -> None:
    with pytest.raises(ValueError, match="commas between"):
        model_names('["a", b]')


@pytest.mark.parametrize(
    ("default", "models", "offered"),
    [
        ("a", None, ("a",)),
        ("a", ["b", "a", "b"], ("b", "a")),
        ("a", ["b", "c"], ("a", "b", "c")),
    ],
)
def test_the_default_is_always_offered_and_nothing_twice(
    default: str, models: list[str] | None, offered: tuple[str, ...]
) -> None:
    assert offered_models(default, models) == offered
