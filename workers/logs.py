"""Logging of a worker: one line an event, on standard error."""

from __future__ import annotations

import logging

import celery.apps.worker

from prelogit.telemetry import lines
from prelogit.telemetry.lines import LogFormat

NOISE = (
    # Celery warns of root because of pickle; this worker takes JSON only.
    "running the worker with superuser privileges",
    # Celery asks for a choice that is made: searches outlive a lost connection to the queue.
    "worker_cancel_long_running_tasks_on_connection_loss",
)


def configure(level: str, form: LogFormat) -> None:
    """Log Prelogit's events at ``level``, those of the libraries only from warnings on."""
    text = "%(asctime)s %(levelname)s %(name)s %(message)s"
    lines.configure(form, process="worker", text=text, level=logging.WARNING)
    logging.getLogger("prelogit").setLevel(level)
    logging.captureWarnings(True)
    if form == "json":
        celery.apps.worker.safe_say = _say_nothing  # it writes its own text past all logging
    # Not by the filters of ``warnings``: Celery sets its own after all others.
    logging.getLogger("py.warnings").addFilter(_worth_a_line)


def _say_nothing(*_: object) -> None:
    """In place of Celery's word that it stops, which ``stopped owner=…`` says as well."""


def _worth_a_line(record: logging.LogRecord) -> bool:
    said = record.getMessage()
    return not any(noise in said for noise in NOISE)
