"""``python -m reward_service``: the service as its environment says."""

from __future__ import annotations

import logging
import sys

import uvicorn
from pydantic import ValidationError
from pydantic_settings import SettingsError

from prelogit.core.errors import PrelogitError
from prelogit.slow_clients import Patient
from prelogit.telemetry import lines, tracing
from reward_service.app import create_app
from reward_service.settings import RewardSettings

GRACE_SECONDS = 10


def main() -> int:
    """Serves until SIGTERM or SIGINT. Returns: 2 when the settings cannot be used."""
    try:
        settings = RewardSettings()
    except ValidationError as error:
        for fault in error.errors(include_url=False, include_input=False, include_context=False):
            place = ".".join(str(part) for part in fault["loc"]) or "rewards"
            sys.stderr.write(f"PRELOGIT_{place.upper()}: {fault['msg']}\n")
        return 2
    except SettingsError:
        sys.stderr.write(
            'PRELOGIT_REWARDS must be a JSON list like [{"name":"relevance","kind":"embedding"}]\n'
        )
        return 2
    text = "%(levelname)s %(name)s: %(message)s"
    lines.configure(settings.log_format, process="reward", text=text, level=logging.INFO)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    try:
        end_tracing = tracing.start("reward", settings.otel)
    except PrelogitError as error:
        logging.getLogger("prelogit.reward_service").critical("%s", error)
        return 2
    uvicorn.run(
        create_app(settings, on_stop=end_tracing),
        host=settings.reward_host,
        port=settings.reward_port,
        http=Patient,
        ws="none",
        access_log=False,
        log_config=None,
        timeout_graceful_shutdown=GRACE_SECONDS,
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
