"""``python -P -m api``: serves the gateway."""

from __future__ import annotations

import logging
import sys
from types import FrameType

import uvicorn
from pydantic import ValidationError

from api.app import create_app
from api.keys.entry import check_entry
from api.settings import Settings
from db.session import make_engine, migrate, reading, sessions
from prelogit.core.errors import LaunchError, PrelogitError, StoreError
from prelogit.slow_clients import Patient
from prelogit.telemetry import lines, tracing

TEXT = "%(asctime)s %(levelname)s %(name)s: %(message)s"


class Server(uvicorn.Server):
    """Tells open streams to end as soon as the process is asked to."""

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Called on SIGINT and SIGTERM."""
        gateway = getattr(self.config.app.state, "gateway", None)  # type: ignore[union-attr]
        if gateway is not None:
            gateway.stopping.set()
        super().handle_exit(sig, frame)


def _prepare_store(settings: Settings) -> None:
    """Before the server starts, so that what is wrong is one line and not a stack trace."""
    engine = make_engine(settings.store_url)
    try:
        migrate(engine)
        with reading(sessions(engine)) as session:
            warning = check_entry(settings, session)
    finally:
        engine.dispose()
    if warning is not None:
        logging.warning("%s", warning)


def main() -> int:
    """Runs until a signal. Returns: 2 when a setting cannot be used, 1 without a store or a key."""
    # As text until it is known in which form.
    lines.configure("text", process="gateway", text=TEXT, level=logging.INFO)
    for chatty in ("alembic", "httpx"):  # every look at the health would be some lines
        logging.getLogger(chatty).setLevel(logging.WARNING)
    try:
        settings = Settings()
    except ValidationError as error:
        for problem in error.errors(include_url=False, include_input=False):
            field = "PRELOGIT_" + ".".join(str(part) for part in problem["loc"]).upper()
            logging.critical("%s: %s", field, problem["msg"])
        return 2
    level = logging.getLevelNamesMapping()[settings.log_level]
    lines.configure(settings.log_format, process="gateway", text=TEXT, level=level)
    try:
        end_tracing = tracing.start("gateway", settings.otel)
    except PrelogitError as error:
        logging.critical("%s", error)
        return 2
    try:
        _prepare_store(settings)
    except (LaunchError, StoreError) as error:
        logging.critical("%s", error)
        return 1
    app = create_app(settings)
    app.state.at_last = end_tracing
    server = Server(
        uvicorn.Config(
            app,
            host=settings.host,
            port=settings.port,
            http=Patient,
            ws="none",
            log_config=None,
            access_log=False,
            timeout_graceful_shutdown=settings.shutdown_seconds,
        )
    )
    server.run()
    return 0 if server.started else 1


if __name__ == "__main__":
    sys.exit(main())
