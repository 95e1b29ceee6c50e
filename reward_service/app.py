"""The reward service as an ASGI app."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from fastapi import FastAPI
from starlette.concurrency import run_in_threadpool

from prelogit.telemetry.identity import Identified
from prelogit.telemetry.requests import Measured, request_figures
from prelogit.telemetry.traced import Traced
from reward_service import openapi
from reward_service.body_limit import BodyLimit
from reward_service.compat.paths import router as compat
from reward_service.errors import install
from reward_service.hosting import Hosting
from reward_service.metrics import PREFIX, Metrics
from reward_service.routes import router
from reward_service.settings import RewardSettings


def create_app(settings: RewardSettings, on_stop: Callable[[], None] = lambda: None) -> FastAPI:
    """The app; its models load in the background from its start on. ``on_stop`` is called at its end.

    Not after the server: uvicorn ends the process by the signal that it was asked to stop with.
    """
    metrics = Metrics()
    hosting = Hosting(settings, metrics)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        hosting.start()
        try:
            yield
        finally:
            hosting.stop()
            await run_in_threadpool(on_stop)

    app = FastAPI(
        title="Prelogit reward service",
        summary="One finite float for each response.",
        lifespan=lifespan,
        redirect_slashes=False,  # a redirect would lead to the host that the request names
    )
    app.state.hosting, app.state.metrics = hosting, metrics
    app.add_middleware(BodyLimit, limit_bytes=settings.reward_max_body_bytes)
    app.add_middleware(Measured, figures=request_figures(metrics.registry, PREFIX))
    app.add_middleware(Traced)
    app.add_middleware(Identified, trusts_baggage=True)
    app.include_router(router)
    app.include_router(compat)
    install(app)
    openapi.install(app)
    return app
