"""API keys in the store: made, found, listed, revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import ValidationError
from sqlalchemy import text, update
from sqlalchemy.orm import Session, sessionmaker

from db import keys
from db.models import KeyRow
from db.session import now, reading
from prelogit.wire.keys import KeyInfo, KeyParts, KeyRequest, NewKey, key_parts

Store = sessionmaker[Session]


def made(store: Store, **fields: Any) -> NewKey:
    with store.begin() as session:
        return keys.create(session, KeyRequest.model_validate(fields))


def found(store: Store, key_id: str) -> keys.StoredKey | None:
    with reading(store) as session:
        return keys.find(session, key_id)


def listed(store: Store, project: str | None = None) -> list[KeyInfo]:
    with reading(store) as session:
        return keys.listing(session, project=project)


def revoked(store: Store, key_id: str, project: str | None = None) -> bool | None:
    with store.begin() as session:
        return keys.revoke(session, key_id, project=project)


def parts_of(key: NewKey) -> KeyParts:
    parts = key_parts(key.key)
    assert parts is not None
    return parts


def test_a_key_is_found_with_all_that_it_may(store: Store) -> None:
    later = datetime(2099, 1, 2, 3, tzinfo=UTC)
    key = made(
        store,
        project="web",
        scopes=["admin", "read", "read"],
        expires_at=later,
        rate_per_minute=60,
        running_prompts=4,
        unfinished_prompts=100,
    )
    assert key.key.startswith("plk_")
    assert parts_of(key).id == key.id
    assert len(bytes.fromhex(parts_of(key).secret)) == 32
    stored = found(store, key.id)
    assert stored is not None
    assert stored.info == KeyInfo(**key.model_dump(exclude={"key"}))
    assert (stored.info.project, stored.info.scopes) == ("web", ("read", "admin"))
    assert (stored.info.expires_at, stored.info.rate_per_minute) == (later, 60)
    assert (stored.info.running_prompts, stored.info.unfinished_prompts) == (4, 100)
    assert stored.secret_hash == keys.secret_hash(parts_of(key).secret)
    assert found(store, "0" * 12) is None


def test_nothing_in_the_store_is_the_secret(store: Store) -> None:
    key = made(store)
    with reading(store) as session:
        row = session.execute(text("SELECT * FROM api_keys")).one()
    assert parts_of(key).secret not in repr(tuple(row))
    assert key.key not in repr(key)


def test_no_two_keys_are_alike(store: Store) -> None:
    made_ = [parts_of(made(store)) for _ in range(20)]
    assert len({one.id for one in made_}) == len({one.secret for one in made_}) == 20


@pytest.mark.parametrize(
    "text", ["", "plk_", "plk_zz", "x" * 81, "plk_" + "0" * 12 + "_" + "g" * 64]
)
def test_what_is_no_key_has_no_parts(text: str) -> None:
    assert key_parts(text) is None


def test_a_key_ends_when_it_is_revoked_or_over(store: Store) -> None:
    forever, short = made(store), made(store, expires_at=now() + timedelta(hours=1))
    first, second = found(store, forever.id), found(store, short.id)
    assert first is not None
    assert second is not None
    assert first.usable(now())
    assert second.usable(now())
    assert not second.usable(now() + timedelta(hours=1))
    assert revoked(store, forever.id) is True
    assert revoked(store, forever.id) is False
    assert revoked(store, "0" * 12) is None
    gone = found(store, forever.id)
    assert gone is not None
    assert not gone.usable(now())
    assert gone.info.revoked_at is not None


def test_a_project_sees_and_revokes_its_own_keys_alone(store: Store) -> None:
    mine, theirs = made(store, project="mine"), made(store, project="theirs")
    assert [key.id for key in listed(store, "mine")] == [mine.id]
    assert [key.id for key in listed(store)] == [theirs.id, mine.id]
    assert revoked(store, theirs.id, "mine") is None
    assert revoked(store, theirs.id, "theirs") is True


def usable(store: Store) -> bool:
    with reading(store) as session:
        return keys.any_usable(session)


def test_whether_anybody_could_come_in(store: Store) -> None:
    assert not usable(store)
    key = made(store)
    assert usable(store)
    revoked(store, key.id)
    assert not usable(store)
    over = made(store)
    with store.begin() as session:
        moment = now() - timedelta(seconds=1)
        session.execute(update(KeyRow).where(KeyRow.id == over.id).values(expires_at=moment))
    assert not usable(store)


def test_the_latest_use_is_kept(store: Store) -> None:
    key, other = made(store), made(store)
    first, second = now(), now() + timedelta(minutes=1)
    for moment in (second, first):
        with store.begin() as session:
            keys.used(session, {key.id: moment, "0" * 12: moment})
    assert [one.last_used_at for one in listed(store)] == [None, second]
    assert other.last_used_at is None


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ({"project": "a b"}, "project"),
        ({"project": "a\nb"}, "project"),
        ({"project": "web\n"}, "project"),
        ({"project": ""}, "project"),
        ({"scopes": []}, "scopes"),
        ({"scopes": ["write"]}, "scopes"),
        ({"expires_at": "2020-01-01T00:00:00Z"}, "expires_at"),
        ({"expires_at": "2099-01-01T00:00:00"}, "expires_at"),
        ({"rate_per_minute": 0}, "rate_per_minute"),
        ({"running_prompts": 2**31}, "running_prompts"),
        ({"unfinished_prompts": True}, "unfinished_prompts"),
        ({"secret": "mine"}, "secret"),
    ],
)
def test_a_key_that_cannot_be_made_is_refused_by_field(fields: dict[str, Any], field: str) -> None:
    with pytest.raises(ValidationError) as caught:
        KeyRequest.model_validate(fields)
    assert caught.value.errors()[0]["loc"][0] == field
