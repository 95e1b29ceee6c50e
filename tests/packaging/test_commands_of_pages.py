"""What the pages show for copying: commands, options, routes and files that exist."""

from __future__ import annotations

import importlib.util
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import typer.main

import api.app
import api.settings
import reward_service.app
import reward_service.settings
from prelogit.cli.app import app
from tests.packaging.compose import services
from tests.packaging.pages import DOCS, PAGES, ROOT, blocks, named, read
from tests.packaging.shell import commands

TREE: dict[str, Any] = typer.main.get_command(app).commands  # type: ignore[attr-defined]


def check_prelogit(words: list[str]) -> None:
    """A command line of ours names a command and only options that it has."""
    flags = [word.partition("=")[0] for word in words[1:] if word.startswith("-") and word != "-"]
    if len(words) > 1 and not words[1].startswith("-"):
        assert words[1] in TREE, f"there is no command {words[1]}"
        command = TREE[words[1]]
        if hasattr(command, "commands"):
            assert words[2] in command.commands, f"there is no command {words[1]} {words[2]}"
            command = command.commands[words[2]]
        known = {flag for one in command.params for flag in one.opts} | {"--help"}
    else:
        known = {"--version", "--help"}
    assert set(flags) <= known, f"{' '.join(words)}: {set(flags) - known}"


def check_module(name: str) -> None:
    assert importlib.util.find_spec(name) is not None, f"there is no module {name}"


def routes() -> dict[int, dict[str, Any]]:
    gateway = api.app.create_app(api.settings.Settings(_env_file=None))  # type: ignore[call-arg]
    rewards = reward_service.app.create_app(reward_service.settings.RewardSettings())
    own = {"/docs": {"get": {}}, "/openapi.json": {"get": {}}}
    return {8000: {**gateway.openapi()["paths"], **own}, 8100: rewards.openapi()["paths"]}


ROUTES = routes()


def check_curl(words: list[str]) -> None:
    """A request of a page goes to a route that is there, by its method, with its parameters."""
    (url,) = [word for word in words if word.startswith("http")]
    found = re.fullmatch(r"http://127\.0\.0\.1:(\d+)([^?]*)(?:\?(.*))?", url)
    assert found is not None, url
    port, path, query = int(found[1]), found[2], found[3]
    method = "post" if "-d" in words else "get"
    if "-X" in words:
        method = words[words.index("-X") + 1].lower()
    for template, methods in ROUTES[port].items():
        pattern = re.sub(r"\{\w+\}", r"[^/]+", template)
        if re.fullmatch(pattern, path) and method in methods:
            known = {one["name"] for one in methods[method].get("parameters", [])}
            asked = {part.partition("=")[0] for part in (query or "").split("&") if part}
            assert asked <= known, f"{url}: {asked - known}"
            return
    raise AssertionError(f"there is no route {method.upper()} {path}")


def check_docker(words: list[str]) -> None:
    known = services()
    for flag, value in pairwise(words):
        if flag == "--scale":
            assert value.partition("=")[0] in known
        if flag == "--profile":
            assert any(value in service.get("profiles", ()) for service in known.values())


def check(text: str) -> None:
    """Every command of a script.

    Raises: AssertionError: names what is not there.
    """
    for words in commands(text):
        match words[0]:
            case "prelogit" | ".venv/bin/prelogit":
                check_prelogit(words)
            case "python" | "python3" if "-m" in words:
                check_module(words[words.index("-m") + 1])
            case "curl":
                check_curl(words)
            case "docker":
                check_docker(words)
        for word in words:
            if re.fullmatch(r"(\./)?(scripts|benchmarks|docs)/[\w./-]+", word):
                assert (ROOT / word).exists(), f"there is no {word}"


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_shell_command_is_one_that_exists(page: Path) -> None:
    for block in blocks(page, "bash"):
        check(block)


@pytest.mark.parametrize(
    "wrong",
    [
        "prelogit sumbit x",
        "JOB=$(prelogit jobs --limits 3)",
        "cat a | prelogit submit - --lamda 3",
        "curl -s http://127.0.0.1:8000/v1/job",
        "curl -X POST http://127.0.0.1:8000/v1/jobs/$JOB/results",
        "curl 'http://127.0.0.1:8000/v1/jobs?state=running'",
        "docker compose --profile tpu up",
        "python -P -m apis",
        "./scripts/demonstrate",
    ],
)
def test_a_wrong_command_would_be_found(wrong: str) -> None:
    with pytest.raises(AssertionError):
        check(wrong)


def test_the_page_of_the_command_line_is_current() -> None:
    spec = importlib.util.spec_from_file_location("write_cli_page", DOCS / "write_cli_page.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert set(module.EXAMPLES) == set(module.flattened(TREE))
    assert read(DOCS / "cli.md") == module.page(), "run: python docs/write_cli_page.py"


def test_every_route_stands_in_the_page_of_the_api() -> None:
    asked = {
        (word, "-X" in words and words[words.index("-X") + 1].lower())
        for block in blocks(DOCS / "api.md", "bash")
        for words in commands(block)
        if words[0] == "curl"
        for word in words
        if word.startswith("http")
    }
    paths = [url.partition(":8000")[2].partition("?")[0] for url, _ in asked]
    for template in ROUTES[8000]:
        if template in ("/docs", "/openapi.json"):
            continue
        pattern = re.sub(r"\{\w+\}", r"[^/]+", template)
        assert any(re.fullmatch(pattern, path) for path in paths), template
