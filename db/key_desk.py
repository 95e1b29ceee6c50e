"""``python -P -m db.key_desk``: makes, lists and revokes keys for whoever holds the database's URL.

One command as JSON on standard input, its answer as JSON on standard output; so that a key
stands on no command line. ``prelogit keys`` runs it.
"""

from __future__ import annotations

import json
import os
import sys
from typing import Any

from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import keys
from db.session import SETTING, check, make_engine, migrate, sessions
from prelogit.core.errors import PrelogitError
from prelogit.wire.keys import KeyRequest


def answer(session: Session, command: dict[str, Any]) -> Any:
    """What a command brings: ``{"do": "create" | "list" | "revoke", …}``."""
    match command:
        case {"do": "create", "request": request}:
            made = keys.create(session, KeyRequest.model_validate(request))
            return made.model_dump(mode="json")
        case {"do": "list", "project": project}:
            return [one.model_dump(mode="json") for one in keys.listing(session, project=project)]
        case {"do": "revoke", "id": key_id}:
            return keys.revoke(session, key_id, project=None)
    raise ValueError("no such command")


def main() -> int:
    """1 with the reason and its cure on standard error when the store cannot be used."""
    try:
        engine = make_engine(os.environ[SETTING])
        try:
            migrate(engine)
            check(engine)  # one of a newer version is left alone
            with sessions(engine).begin() as session:
                found = answer(session, json.load(sys.stdin))
        finally:
            engine.dispose()
    except PrelogitError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except SQLAlchemyError as error:
        sys.stderr.write(f"the store cannot be used ({type(error).__name__})\n")
        return 1
    json.dump(found, sys.stdout)
    return 0


if __name__ == "__main__":
    sys.exit(main())
