"""A worker process: ``python -P -m workers``. Loads the model once, then follows wake-ups."""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import uuid
from collections.abc import Callable
from typing import Any

from celery import Celery, signals
from pydantic import ValidationError
from sqlalchemy.exc import SQLAlchemyError

from db.session import check, make_engine, migrate, sessions
from prelogit.core.errors import PrelogitError
from prelogit.engine.load import load_model
from prelogit.telemetry import tracing
from prelogit.wire.wakeup import queue_of
from workers import logs
from workers.app import make_app
from workers.desk import Desk
from workers.heartbeat import Heartbeat
from workers.metrics import Metrics, listen
from workers.settings import Settings
from workers.tasks import register

log = logging.getLogger("prelogit.workers")


def main() -> int:
    """Run until told to stop; the exit status: 0 after SIGTERM, 1 on failure, 2 on bad settings."""
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors():
            name = "PRELOGIT_" + "_".join(str(part) for part in problem["loc"]).upper()
            print(f"error: {name}: {problem['msg']}", file=sys.stderr)  # noqa: T201 - no log yet
        return 2
    logs.configure(settings.log_level, settings.log_format)
    try:
        end_tracing = tracing.start("worker", settings.otel)
        desk = prepare(settings)
        ear = _listening(desk)
        desk.heartbeat.start()
    except (PrelogitError, SQLAlchemyError) as error:
        said = str(error) if isinstance(error, PrelogitError) else type(error).__name__
        log.error("cannot start: %s", said)
        return 1
    app = make_app(settings.redis_url, queue_of(desk.model.name))
    register(app, desk)
    desk.model.on_loss(lambda said: _break(desk, said))
    try:
        status = serve(app, desk)
    finally:
        desk.stopping.set()
        desk.heartbeat.stop()
        desk.model.close()
        ear()
        end_tracing()
    log.info("stopped owner=%s", desk.owner)
    return 1 if desk.broken.is_set() else status


def prepare(settings: Settings) -> Desk:
    """Bring the store up to date and load the model.

    Raises: PrelogitError: says what is wrong and the cure.
    """
    engine = make_engine(settings.store_url)
    migrate(engine)
    check(engine)
    log.info("loading model=%s", settings.model)
    model = load_model(
        settings.model,
        device=settings.device,
        dtype=settings.dtype,
        attention=settings.attention,
        graphs=settings.graphs,
        max_rows=settings.max_rows,
        memory_gb=settings.memory_gb,
        device_map=settings.device_map,
        tensor_parallel=settings.tensor_parallel,
        pickle_weights=settings.model in settings.pickle_weights,
        trust_remote_code=settings.model in settings.trust_remote_code,
        home=settings.home,
    )
    owner = f"{socket.gethostname()}-{os.getpid()}-{uuid.uuid4().hex[:8]}"
    store = sessions(engine)
    metrics = Metrics(model.limit)
    heartbeat = Heartbeat(
        store,
        owner=owner,
        model=model.name,
        ttl_seconds=settings.lease_seconds,
        on_loss=metrics.lost.inc,
    )
    log.info(
        "loaded model=%s fingerprint=%s rows=%d budget_bytes=%s",
        *(model.name, model.fingerprint, model.max_rows, model.memory.budget_bytes),
    )
    return Desk(store, model, settings, owner, heartbeat, metrics)


def _listening(desk: Desk) -> Callable[[], None]:
    """Metrics are served where a port was named. Returns: what ends that. Raises: PrelogitError."""
    settings = desk.settings
    if settings.metrics_port is None:
        return lambda: None
    log.info("metrics at http://%s:%d/metrics", settings.metrics_host, settings.metrics_port)
    return listen(desk.metrics, settings.metrics_host, settings.metrics_port)


def serve(app: Celery, desk: Desk) -> int:
    """Follow wake-ups until a signal ends the worker; the search under way stops at its next round.

    Threads, so that CUDA is not forked and pings are answered while a search runs.
    """

    def stop(**_: Any) -> None:
        desk.stopping.set()

    def ready(**_: Any) -> None:
        log.info("ready owner=%s", desk.owner)

    def keep_logging(**_: Any) -> None:
        """Connected, so that Celery leaves the logging of this process as it is."""

    signals.worker_ready.connect(ready, weak=False)
    signals.worker_shutting_down.connect(stop, weak=False)
    signals.setup_logging.connect(keep_logging, weak=False)
    worker = app.Worker(
        hostname=f"prelogit-{desk.owner}",
        queues=[app.conf.task_default_queue],
        pool="threads",
        concurrency=1,
        without_gossip=True,
        without_mingle=True,
        quiet=True,
    )
    worker.start()
    return int(worker.exitcode or 0)


def _break(desk: Desk, said: str) -> None:
    """Part of the model is gone: end, so that a supervisor starts a whole one."""
    log.error("%s", said)
    desk.broken.set()
    desk.stopping.set()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
