"""The Celery application of a worker: it takes wake-ups from the queue, one at a time."""

from __future__ import annotations

from celery import Celery

from prelogit.wire.wakeup import TRANSPORT


def make_app(redis_url: str, queue: str) -> Celery:
    """An application without tasks that knows one queue; it connects when its worker starts."""
    app = Celery("prelogit", broker=redis_url, set_as_current=False)
    app.conf.update(
        accept_content=["json"],  # a pickled message could run code here
        task_serializer="json",
        result_serializer="json",
        task_default_queue=queue,
        task_ignore_result=True,
        task_acks_late=False,
        worker_prefetch_multiplier=1,
        worker_disable_prefetch=True,  # a busy worker must not sit on a wake-up
        broker_connection_retry_on_startup=True,
        broker_connection_max_retries=None,
        broker_transport_options=TRANSPORT,
    )
    return app
