"""The Celery application of a worker: it takes wake-ups from the queue, one at a time."""

from __future__ import annotations

from celery import Celery

from prelogit.wire.wakeup import QUEUE

# A wake-up is taken at most once; what is lost is sent again out of the store. With
# ack_emulation on, a search longer than the visibility timeout would run twice at the same time.
# Without socket_timeout a stopped Redis would hold the worker for minutes.
TRANSPORT = {
    "ack_emulation": False,
    "socket_timeout": 5,
    "socket_connect_timeout": 2,
    "socket_keepalive": True,
    "health_check_interval": 10,
    "max_retries": 1,
    "interval_start": 0,
    "interval_step": 0.1,
    "interval_max": 0.2,
}


def make_app(redis_url: str) -> Celery:
    """An application without tasks; it connects when its worker starts."""
    app = Celery("prelogit", broker=redis_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],
        task_serializer="json",
        task_default_queue=QUEUE,
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # a busy worker must not sit on a wake-up
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=TRANSPORT,
    )
    return app
