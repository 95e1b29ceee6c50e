"""``python -P -m db.report``: what `prelogit doctor` wants to know of the store, as JSON."""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta

from sqlalchemy import Engine, select, text
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import census, presence
from db.models import OwnershipRow
from db.session import check, make_engine, now, reading, sessions
from prelogit.core.errors import PrelogitError
from prelogit.wire.store_report import Skew, StoreReport, skew

SILENCE_SECONDS = 60.0


def report(engine: Engine) -> StoreReport:
    """Look at the store.

    Raises: StoreError: it does not answer, or its tables are of another version. SQLAlchemyError.
    """
    check(engine)
    with reading(sessions(engine)) as session:
        found = census.take(session, silence_seconds=SILENCE_SECONDS)
        moment = now()
        beats = {one.owner: one.seen_at for one in presence.alive(session, SILENCE_SECONDS)}
        waiting: dict[str, int] = {}
        for (model, status), prompts in found.prompts.items():
            if status == "queued":
                waiting[model] = waiting.get(model, 0) + prompts
        return StoreReport(
            silence_seconds=SILENCE_SECONDS,
            workers=found.workers,
            waiting=waiting,
            gateway=_gateway_lives(session),
            clock=_clock(session),
            ahead={
                owner: (seen - moment).total_seconds()
                for owner, seen in beats.items()
                if seen > moment
            },
        )


def _gateway_lives(session: Session) -> bool:
    """One of them always holds the reconciler's lease, and renews it every few seconds."""
    until = select(OwnershipRow.expires_at).order_by(OwnershipRow.expires_at.desc()).limit(1)
    last = session.scalar(until)
    return last is not None and last > now() - timedelta(seconds=SILENCE_SECONDS)


def _clock(session: Session) -> Skew | None:
    if session.get_bind().dialect.name != "postgresql":
        return None  # a file is written by this machine's own clock

    def theirs() -> float:
        return float(session.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0)

    return skew(theirs, time.time)


def main() -> int:
    """0 with a report on standard output; 1 with the reason on standard error."""
    try:
        engine = make_engine(os.environ["PRELOGIT_DATABASE_URL"])
        try:
            found = report(engine)
        finally:
            engine.dispose()
    except PrelogitError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except SQLAlchemyError as error:
        sys.stderr.write(f"the store cannot be read ({type(error).__name__}): see its log\n")
        return 1
    sys.stdout.write(found.model_dump_json())
    return 0


if __name__ == "__main__":
    sys.exit(main())
