"""The wheel, built as a release is, and the composed services running from it."""

from __future__ import annotations

import subprocess
import sys
import uuid
import zipfile
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from tests.once import made_once
from tests.packaging.running import Composed

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel's file: the source distribution is built first, the wheel out of that."""

    def build(folder: Path) -> None:
        command = [sys.executable, "-m", "build", "--no-isolation", "--outdir", folder, ROOT]
        done = subprocess.run(command, capture_output=True, text=True, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr

    folder = made_once(tmp_path_factory, "dist", build)
    assert len(list(folder.glob("*.tar.gz"))) == 1
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel unpacked, as an installer lays it into site-packages."""
    folder = tmp_path_factory.mktemp("site-packages")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder)
    return folder


@pytest.fixture(scope="module")
def running(
    tmp_path_factory: pytest.TempPathFactory, installed: Path, postgres_url: str
) -> Iterator[Composed]:
    """All services of the compose file, with the embedded model, each healthy.

    They stand in a folder that has modules of their names, as a user's might.
    """
    folder = tmp_path_factory.mktemp("composed")
    for name in ("api", "workers", "reward_service", "db"):
        (folder / name).mkdir()
        (folder / name / "__init__.py").write_text("raise SystemExit('the wrong one')")
    database = f"composed_{uuid.uuid4().hex}"
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(database)))
    stack = Composed(folder, installed, postgres_url.rsplit("/", 1)[0] + "/" + database)
    try:
        assert "smollm2-135m" in stack.once("model")
        stack.start("redis", "reward", "gateway", "worker")
        yield stack
        stack.stop()
    finally:
        stack.kill()
