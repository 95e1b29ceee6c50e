"""``python -P -m workers.alive``: whether this machine's worker lives, for a container's health check.

The store is asked, where a worker writes its sign of life from a thread of its own, idle or
searching. A ping over the queue would be answered by any worker, and lost with any reconnect.
"""

from __future__ import annotations

import socket
import sys

from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from db.presence import alive
from db.session import make_engine, reading, sessions
from prelogit.core.errors import PrelogitError
from workers.settings import Settings


def main() -> int:
    """0 when a worker of this host was heard of within its lease, else 1."""
    try:
        settings = Settings()
        engine = make_engine(settings.store_url)
        try:
            with reading(sessions(engine)) as session:
                found = alive(session, settings.lease_seconds)
        finally:
            engine.dispose()
    except (PrelogitError, SQLAlchemyError, ValidationError) as error:
        sys.stderr.write(f"the store cannot be asked ({type(error).__name__})\n")
        return 1
    mine = [worker for worker in found if worker.owner.startswith(f"{socket.gethostname()}-")]
    if not mine:
        sys.stderr.write(f"no worker of this host for {settings.lease_seconds:g} s\n")
        return 1
    sys.stdout.write(f"{mine[0].owner} {mine[0].status}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
