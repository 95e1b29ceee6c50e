"""The one task on the queue: a wake-up names a group, and is followed until nothing waits."""

from __future__ import annotations

import logging
import os
import signal

from celery import Celery

from prelogit.wire.wakeup import RUN_GROUP
from workers.desk import Desk
from workers.failure import explain
from workers.run import run_group

log = logging.getLogger("prelogit.workers.tasks")


def register(app: Celery, desk: Desk) -> None:
    """Give the application its task. It never raises: a wake-up that fails is sent again."""

    def task(group_id: str) -> None:
        more = True
        # Celery looks for the next message once a second, and the store is asked in a millisecond.
        while more and not desk.stopping.is_set():
            more = _one(desk, group_id)
        if desk.broken.is_set():
            log.error("the device failed: this worker ends, a new one can use the device again")
            os.kill(os.getpid(), signal.SIGTERM)

    app.task(task, name=RUN_GROUP, shared=False)


def _one(desk: Desk, group_id: str) -> bool:
    """Run one group; whether there was one and it went well."""
    try:
        return run_group(desk, group_id)
    except Exception as error:  # noqa: BLE001 - the worker must live on to the next group
        failure = explain(error)
        log.error(
            "left to its lease group=%r (%s at %s)",
            *(group_id, type(error).__name__, failure.where),
        )
        return False
