"""The documentation as data: pages, their blocks of code, their links and tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
PAGES = sorted([ROOT / "README.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\[[^\]\n]*\]\(([^)\s]+)\)")


def named(page: Path) -> str:
    """A page's name for the report of a test."""
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(page: Path, language: str) -> list[str]:
    """The texts of a page's blocks in a language, in order."""
    return [text for lang, text in _FENCE.findall(read(page)) if lang == language]


def links(page: Path) -> list[str]:
    """Targets of all links; code is no link."""
    prose = re.sub(r"`[^`\n]*`", "", _FENCE.sub("", read(page)))
    return _LINK.findall(prose)


def anchors(page: Path) -> set[str]:
    """The fragments of a page's headings, as GitHub names them."""
    headings = re.findall(r"(?m)^#+ (.+)$", _FENCE.sub("", read(page)))
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def rows(text: str) -> Iterator[list[str]]:
    """Cells of every table row, separators left out."""
    for line in text.splitlines():
        if line.startswith("|") and not set(line) <= set("|-: "):
            yield [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
