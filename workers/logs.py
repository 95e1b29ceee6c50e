"""Logging of a worker: one line an event, on standard error."""

from __future__ import annotations

import logging

NOISE = (
    # Celery warns of root because of pickle; this worker takes JSON only.
    "running the worker with superuser privileges",
    # Celery asks for a choice that is made: searches outlive a lost connection to the queue.
    "worker_cancel_long_running_tasks_on_connection_loss",
)


def configure(level: str) -> None:
    """Log Prelogit's events at ``level``, those of the libraries only from warnings on."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    logging.getLogger("prelogit").setLevel(level)
    logging.captureWarnings(True)
    # Not by the filters of ``warnings``: Celery sets its own after all others.
    logging.getLogger("py.warnings").addFilter(_worth_a_line)


def _worth_a_line(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    return not any(noise in said for noise in NOISE)
