"""Runs commands in this process, against a real gateway."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import pytest
from typer.testing import CliRunner

from prelogit.cli.app import app
from tests.client.gateway import Gateway, clean_environment, gateway, model_folder

__all__ = ["clean_environment", "gateway", "model_folder"]


class Ran(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Run = Callable[..., Ran]


@pytest.fixture
def bare(clean_environment: None) -> Run:
    """Runs a command without any gateway."""

    def run(*arguments: str, stdin: str | bytes | None = None) -> Ran:
        result = CliRunner().invoke(app, list(arguments), input=stdin)
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Ran(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def run(bare: Run, gateway: Gateway, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Runs a command that talks to the gateway."""
    monkeypatch.setenv("PRELOGIT_URL", gateway.url)
    return bare
