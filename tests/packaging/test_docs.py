"""The pages hang together: links, questions, decisions, promises."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.packaging.pages import DOCS, PAGES, ROOT, anchors, links, named, read

LONGEST_FILE = 250


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_resolves(page: Path) -> None:
    for link in links(page):
        if link.startswith(("http://", "https://")):
            continue
        place, _, fragment = link.partition("#")
        target = (page.parent / place).resolve() if place else page
        assert target.exists(), f"{named(page)}: {link}"
        assert target.is_relative_to(ROOT)
        if fragment:
            assert fragment in anchors(target), f"{named(page)}: {link}"


def test_every_page_is_reached_from_the_index() -> None:
    reached = {(DOCS / link.partition("#")[0]).resolve() for link in links(DOCS / "index.md")}
    for page in DOCS.glob("*.md"):
        assert page.name == "index.md" or page in reached, f"no way leads to {page.name}"


@pytest.mark.parametrize("page", [p for p in PAGES if p.is_relative_to(DOCS)], ids=named)
def test_a_page_says_the_one_question_it_answers(page: Path) -> None:
    if page.parent.name == "decisions":
        number = page.name[:4]
        assert read(page).startswith(f"# {number}: ")
        assert "\nDecided: " in read(page)
        return
    assert re.match(r"# .+\n\n\*[^*]+\?\*", read(page))


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(page.name[:4]) for page in (DOCS / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_every_promise_has_tests_and_every_test_of_promises_a_promise() -> None:
    attacked = {link for link in links(DOCS / "promises.md") if "/tests/" in link}
    for path in (ROOT / "tests" / "promises").glob("test_*.py"):
        assert f"../tests/promises/{path.name}" in attacked


def test_a_long_file_has_its_reason_among_the_decisions() -> None:
    told = "".join(read(page) for page in (DOCS / "decisions").glob("*.md"))
    for folder in ("prelogit", "api", "workers", "reward_service", "db", "docs", "benchmarks"):
        for path in (ROOT / folder).rglob("*.py"):
            long = len(read(path).splitlines()) > LONGEST_FILE
            assert not long or f"`{named(path)}`" in told, f"{named(path)} is long: split it"
