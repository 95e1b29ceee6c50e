"""The gateway's application: routes, problems, and what lives as long as it does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

from fastapi import Depends, FastAPI
from starlette.concurrency import run_in_threadpool

from api import errors, headers, openapi
from api.catalog.models import ModelText
from api.catalog.rewards import RewardCatalog
from api.catalog.routes import router as catalog
from api.deps import Gateway
from api.health.refusals import Refusals
from api.health.routes import router as health
from api.jobs.prompts import router as prompts
from api.jobs.routes import router as jobs
from api.keys.gate import Gate
from api.keys.guard import guard
from api.keys.rates import Rates
from api.keys.ring import KeyRing
from api.keys.routes import router as keys
from api.metrics.routes import router as metrics
from api.metrics.surroundings import Surroundings
from api.placed import placed
from api.reconcile import Reconciler
from api.results.routes import router as results
from api.retention import Sweeper
from api.settings import Settings
from api.wakeups import Publisher
from api.webhooks.deliverer import Deliverer
from api.webhooks.figures import webhook_figures
from api.webhooks.routes import router as webhooks
from db.session import close, make_engine, migrate, sessions
from prelogit import __version__
from prelogit.telemetry.identity import Identified
from prelogit.telemetry.metrics import make_registry
from prelogit.telemetry.requests import Measured, request_figures
from prelogit.telemetry.traced import Traced

DESCRIPTION = """
Aligns an LLM's answers at test time. Post prompts as a job, watch its events, read for each
prompt the best answer with its reward, its costs, and the trace of the search.

Errors are problem documents (RFC 9457): `errors` names every field and the cure.
"""


def create_app(settings: Settings) -> FastAPI:
    """The gateway. Nothing is opened before the application starts.

    On start: the database is brought up to date; wake-ups are published, lost ones re-sent, and
    webhooks posted by three threads. Raises (on start) StoreError with the cure when the store is not there.
    """
    app = FastAPI(
        title="Prelogit",
        version=__version__,
        description=DESCRIPTION,
        lifespan=_lifespan,
        redirect_slashes=False,  # a redirect would lead to the host that the request names
        dependencies=[Depends(placed), Depends(guard)],
    )
    app.state.settings = settings
    app.state.registry = make_registry()
    app.state.at_last = lambda: None
    for router in (results, prompts, jobs, webhooks, keys, catalog, health, metrics):
        app.include_router(router)
    app.add_middleware(Gate, settings=settings)
    errors.install(app)
    app.state.webhook_figures = webhook_figures(app.state.registry)
    figures = request_figures(app.state.registry, "prelogit_gateway")
    app.add_middleware(Measured, figures=figures)  # after the errors: it sees their answers too
    app.add_middleware(Traced)
    headers.install(
        app,
        origins=settings.cors_origins,
        hosts=settings.allowed_hosts,
        hsts_seconds=settings.hsts_seconds,
    )
    app.add_middleware(Identified)  # last, and so around all: whoever answers, the id is there
    openapi.install(app)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    settings: Settings = app.state.settings
    async with AsyncExitStack() as stack:
        # Not after the server: uvicorn ends the process by the signal that it was stopped with.
        stack.push_async_callback(run_in_threadpool, app.state.at_last)
        engine = make_engine(settings.store_url)
        stack.callback(close, engine)
        await run_in_threadpool(migrate, engine)
        store = sessions(engine)
        publisher = Publisher(settings.redis_url, store, interval_seconds=settings.outbox_seconds)
        rewards = RewardCatalog(
            settings.reward_url, timeout_seconds=settings.reward_listing_seconds
        )
        stack.callback(rewards.close)
        refusals = Refusals()
        reconciler = Reconciler(
            store,
            publisher.again,
            interval_seconds=settings.reconcile_seconds,
            resend_seconds=settings.resend_seconds,
            on_trouble=refusals.note,
        )
        ring = KeyRing(store)
        rates = Rates(settings.redis_url)
        stack.callback(rates.close)
        gateway = Gateway(
            settings=settings,
            engine=engine,
            store=store,
            publisher=publisher,
            ring=ring,
            rates=rates,
            rewards=rewards,
            refusals=refusals,
            texts={name: ModelText(name, settings.home) for name in settings.offered},
        )
        ring.start()
        stack.push_async_callback(run_in_threadpool, ring.stop)
        publisher.start()
        stack.push_async_callback(run_in_threadpool, publisher.stop)
        reconciler.start()
        stack.push_async_callback(run_in_threadpool, reconciler.stop)
        deliverer = Deliverer(store, settings, app.state.webhook_figures)
        deliverer.start()
        stack.push_async_callback(run_in_threadpool, deliverer.stop)
        sweeper = Sweeper(
            store,
            days=settings.retention_days,
            candidates_days=settings.candidates_retention_days,
        )
        sweeper.start()
        stack.push_async_callback(run_in_threadpool, sweeper.stop)
        stack.callback(gateway.stopping.set)
        app.state.registry.register(Surroundings(gateway))
        app.state.gateway = gateway
        yield
