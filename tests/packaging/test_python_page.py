"""The library's page names the arguments that the functions have, with their defaults."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from typing import Any

import pytest

import prelogit
from prelogit.client import AsyncJobHandle, Client, JobHandle
from tests.packaging.pages import DOCS, read

PAGE = read(DOCS / "python.md")


def documented(heading: str) -> dict[str, str]:
    """What the section's table of arguments says of the default of each."""
    section = PAGE.split(f"\n## {heading}\n")[1].split("\n## ")[0]
    rows = section.split("| argument | default | meaning |\n|---|---|---|\n")[1].split("\n\n")[0]
    found = {}
    for row in rows.splitlines():
        names, defaults = (cell.strip().replace("`", "") for cell in row.split("|")[1:3])
        for name, default in zip(names.split(", "), defaults.split(", "), strict=True):
            found[name] = default
    return found


@pytest.mark.parametrize(
    ("heading", "function"),
    [("Align without a service", prelogit.align), ("Models", prelogit.load_model)],
)
def test_a_table_has_all_arguments_and_their_defaults(
    heading: str, function: Callable[..., Any]
) -> None:
    real = inspect.signature(function).parameters
    told = documented(heading)
    assert set(told) == set(real)
    for name, default in told.items():
        try:
            literal = ast.literal_eval(default)
        except (SyntaxError, ValueError):
            # In words, or made when it is called.
            assert real[name].default in (None, (), inspect.Parameter.empty), name
        else:
            assert real[name].default == literal, name


@pytest.mark.parametrize("handle", [JobHandle, AsyncJobHandle])
def test_what_a_posted_job_has_is_all_told(handle: type) -> None:
    sentence = re.search(r"What `submit` returns has (.*?)\.\n", PAGE, re.DOTALL)
    assert sentence is not None
    told = set(re.findall(r"`(\w+)`", sentence[1]))
    assert {name for name in vars(handle) if not name.startswith("_")} == told - {"job"}


def test_signatures_in_the_text_are_the_real_ones() -> None:
    for callee, given in re.findall(r"`(load_reward|Client)\(([^`]*)\)`", PAGE):
        real = inspect.signature(getattr(prelogit, callee)).parameters
        for one in given.split(", "):
            name, _, default = one.lstrip("*").partition("=")
            assert name in real, f"{callee}: {name}"
            assert not default or real[name].default == ast.literal_eval(default)
    names = re.search(r"It has\n((?:`\w+`[ ,and]*)+)", PAGE)
    assert names is not None
    assert all(hasattr(Client, name) for name in re.findall(r"`(\w+)`", names[1]))
