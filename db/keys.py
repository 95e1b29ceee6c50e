"""API keys: made, found, listed, revoked. A key is kept as a hash of its secret alone."""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping
from datetime import datetime
from typing import NamedTuple

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from db.key_row import KeyRow
from db.session import now
from prelogit.wire.keys import KeyInfo, KeyParts, KeyRequest, NewKey, written_key

_ID_BYTES = 6
_SECRET_BYTES = 32


class StoredKey(NamedTuple):
    """A key as it is stored: what is told of it, and the hash of its secret."""

    info: KeyInfo
    secret_hash: str

    def usable(self, at: datetime) -> bool:
        """Whether it opens anything at that moment: neither revoked nor expired."""
        info = self.info
        return info.revoked_at is None and (info.expires_at is None or at < info.expires_at)


def secret_hash(secret: str) -> str:
    """SHA-256 in hex.

    Not a slow hash: the secret is 256 random bits, which no one guesses at any speed.
    """
    return hashlib.sha256(secret.encode()).hexdigest()


def create(session: Session, request: KeyRequest) -> NewKey:
    """Store a new key. What is returned is the only place where its secret ever stands."""
    parts = KeyParts(secrets.token_hex(_ID_BYTES), secrets.token_hex(_SECRET_BYTES))
    row = KeyRow(
        id=parts.id,
        secret_hash=secret_hash(parts.secret),
        created_at=now(),
        revoked_at=None,
        last_used_at=None,
        **{**request.model_dump(), "scopes": list(request.scopes)},
    )
    session.add(row)
    session.flush()
    return NewKey(**_info(row).model_dump(), key=written_key(parts))


def find(session: Session, key_id: str) -> StoredKey | None:
    """The key with this id, usable or not."""
    row = session.get(KeyRow, key_id, populate_existing=True)
    return None if row is None else StoredKey(_info(row), row.secret_hash)


def listing(session: Session, *, project: str | None) -> list[KeyInfo]:
    """All keys of a project, of every one for None; the newest first, revoked ones too."""
    query = select(KeyRow).order_by(KeyRow.created_at.desc(), KeyRow.id)
    if project is not None:
        query = query.where(KeyRow.project == project)
    return [_info(row) for row in session.scalars(query)]


def revoke(session: Session, key_id: str, *, project: str | None) -> bool | None:
    """End a key for good; what it has posted goes on.

    project: of which it must be; None: of any. Returns False when it was revoked before, None
    when there is no such key there.
    """
    row = session.get(KeyRow, key_id, populate_existing=True, with_for_update=True)
    if row is None or project not in (None, row.project):
        return None
    if row.revoked_at is not None:
        return False
    row.revoked_at = now()
    session.flush()
    return True


def any_usable(session: Session) -> bool:
    """Whether there is a key that opens anything."""
    usable = select(KeyRow.id).where(
        KeyRow.revoked_at.is_(None), or_(KeyRow.expires_at.is_(None), KeyRow.expires_at > now())
    )
    return session.scalar(usable.limit(1)) is not None


def used(session: Session, moments: Mapping[str, datetime]) -> None:
    """Note when keys were last used, by their ids; earlier moments than those noted are dropped."""
    for key_id, moment in sorted(moments.items()):  # one order: no deadlock between gateways
        session.execute(
            update(KeyRow)
            .where(
                KeyRow.id == key_id,
                or_(KeyRow.last_used_at.is_(None), KeyRow.last_used_at < moment),
            )
            .values(last_used_at=moment),
            execution_options={"synchronize_session": False},
        )


def _info(row: KeyRow) -> KeyInfo:
    fields = [name for name in KeyInfo.model_fields if name != "object"]
    return KeyInfo.model_validate({name: getattr(row, name) for name in fields})
