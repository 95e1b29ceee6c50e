"""Logging of a worker: one line an event, on standard error."""

from __future__ import annotations

import logging
import warnings


def configure(level: str) -> None:
    """Log Prelogit's events at ``level``, those of the libraries only from warnings on."""
    logging.basicConfig(
        level=logging.WARNING, format="%(asctime)s %(levelname)s %(name)s %(message)s", force=True
    )
    logging.getLogger("prelogit").setLevel(level)
    logging.captureWarnings(True)
    # Celery warns of root because of pickle; this worker takes JSON only.
    warnings.filterwarnings("ignore", message="You're running the worker with superuser")
    # Celery asks for a choice that is made: searches outlive a lost connection to the queue.
    warnings.filterwarnings("ignore", message="\\s*In Celery 5.1 we introduced an optional")
