"""The one task on the queue: a wake-up names a group, nothing else."""

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
        if desk.stopping.is_set():
            return
        try:
            run_group(desk, group_id)
        except Exception as error:  # noqa: BLE001 - the worker must live on to the next group
            failure = explain(error)
            log.error(
                "left to its lease group=%r (%s at %s)",
                *(group_id, type(error).__name__, failure.where),
            )
        if desk.broken.is_set():
            log.error("the device failed: this worker ends, a new one can use the device again")
            os.kill(os.getpid(), signal.SIGTERM)

    app.task(task, name=RUN_GROUP)
