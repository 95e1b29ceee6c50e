"""``prelogit keys`` on a real store: what is made, what is shown, what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from sqlalchemy import text

from db import keys
from db.session import make_engine, migrate, reading, sessions
from prelogit.wire.keys import key_parts
from tests.cli.conftest import Run


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, clean_environment: None) -> Path:
    """An empty home folder, and nothing else that is set."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PRELOGIT_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def test_a_key_is_made_before_anything_was_started(home: Path, bare: Run) -> None:
    made = bare("keys", "create")
    assert made.code == 0, made.err
    parts = key_parts(made.out.strip())
    assert parts is not None
    assert "shown this once" in made.err
    assert parts.secret not in made.err
    engine = make_engine(f"sqlite:///{home / 'prelogit.db'}")
    with reading(sessions(engine)) as session:
        stored = keys.find(session, parts.id)
    engine.dispose()
    assert stored is not None
    assert stored.secret_hash == keys.secret_hash(parts.secret)
    assert (stored.info.project, stored.info.scopes) == ("default", ("submit", "read"))
    assert stored.info.expires_at is None


def test_what_was_asked_for_is_what_the_key_may(home: Path, bare: Run) -> None:
    limits = ("--rate", "60/minute", "--running", "4", "--unfinished", "100")
    scopes = ("--scope", "admin", "--scope", "read")
    made = bare(
        "keys", "create", "--project", "web", *scopes, *limits, "--expires", "90d", "--json"
    ).json
    assert key_parts(made["key"]) is not None
    assert (made["project"], made["scopes"]) == ("web", ["read", "admin"])
    assert (made["rate_per_minute"], made["running_prompts"], made["unfinished_prompts"]) == (
        60, 4, 100,
    )  # fmt: skip
    ends = datetime.fromisoformat(made["expires_at"]) - timedelta(days=90)
    assert abs(datetime.now(UTC) - ends) < timedelta(minutes=10)
    dated = bare("keys", "create", "--expires", "2099-01-31", "--json").json
    assert datetime.fromisoformat(dated["expires_at"]) == datetime(2099, 1, 31, tzinfo=UTC)


def test_keys_are_listed_without_secrets_and_revoked(home: Path, bare: Run) -> None:
    first = bare("keys", "create", "--project", "web", "--rate", "60", "--json").json
    second = bare("keys", "create", "--json").json
    shown = bare("keys", "list", "--json")
    assert [one["id"] for one in shown.json] == [second["id"], first["id"]]
    assert [one["id"] for one in bare("keys", "list", "--project", "web", "--json").json] == [
        first["id"]
    ]
    ended = bare("keys", "revoke", first["key"])  # the whole key names itself too
    assert (ended.code, ended.out) == (0, f"revoked {first['id']}\n")
    assert "before" in bare("keys", "revoke", first["id"]).out
    table = bare("keys", "list").out
    assert "revoked" in table
    assert "60/minute" in table
    for secret in (key_parts(one["key"]).secret for one in (first, second)):  # type: ignore[union-attr]
        assert secret not in shown.out + table
    unknown = bare("keys", "revoke", "0" * 12)
    assert (unknown.code, "prelogit keys list" in unknown.err) == (2, True)


def test_the_store_is_the_one_that_is_set(
    fresh_postgres: str, home: Path, bare: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRELOGIT_DATABASE_URL", fresh_postgres)
    made = bare("keys", "create", "--json").json
    engine = make_engine(fresh_postgres)
    with reading(sessions(engine)) as session:
        assert [one.id for one in keys.listing(session, project=None)] == [made["id"]]
    engine.dispose()
    assert not home.exists()


def test_another_home_is_another_store(home: Path, bare: Run, tmp_path: Path) -> None:
    other = str(tmp_path / "other")
    assert bare("keys", "create", "--home", other).code == 0
    assert bare("keys", "list", "--json").json == []
    assert len(bare("keys", "list", "--home", other, "--json").json) == 1


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("--project", "a b"),
        ("--scope", "write"),
        ("--expires", "soon"),
        ("--expires", "2020-01-01"),
        ("--expires", "99999999999d"),
        ("--rate", "60/hour"),
        ("--rate", "0"),
        ("--running", "0"),
        ("--unfinished", "-1"),
    ],
)
def test_what_cannot_be_made_is_named(home: Path, bare: Run, option: str, value: str) -> None:
    refused = bare("keys", "create", option, value)
    assert refused.code == 2
    assert f"{option}: " in refused.err


def test_a_store_that_cannot_be_used_is_named_without_its_password(
    home: Path, bare: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRELOGIT_DATABASE_URL", "postgresql://me:hidden@127.0.0.1:9/x")
    refused = bare("keys", "create")
    assert refused.code == 1
    assert "PRELOGIT_DATABASE_URL" in refused.err
    assert "hidden" not in refused.err


def test_a_store_of_a_newer_version_is_left_alone(home: Path, bare: Run) -> None:
    home.mkdir()
    engine = make_engine(f"sqlite:///{home / 'prelogit.db'}")
    migrate(engine)
    with engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from the future'"))
    refused = bare("keys", "create")
    assert (refused.code, "newer version" in refused.err) == (1, True)
    engine.dispose()
