"""The services around a worker, for real: queue, store, reward service, and the gateway's threads."""

from __future__ import annotations

import signal
import uuid
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from api.reconcile import Reconciler
from api.wakeups import Publisher, make_producer
from db import jobs, results, trace
from db.models import GroupRow, PromptRow, WakeupRow
from db.session import make_engine, reading, sessions
from prelogit.core.records import Iteration, Result
from prelogit.wire.jobs import ENDED, Job, JobRequest
from prelogit.wire.wakeup import queue_of
from tests.db.posting import prompts_of
from tests.workers.forked import service
from tests.workers.processes import Child, environment, until
from tests.workers.services import Queue, Reward

LEASE_SECONDS = 3.0
METHOD = {"name": "aisp", "n": 4, "iterations": 3, "batch_size": 4}


def post_job(
    store: sessionmaker[Session], model: str, prompts: Sequence[Any], **fields: Any
) -> jobs.Created:
    """Stores a job as the gateway does."""
    body = {
        "prompts": prompts,
        "method": METHOD,
        "reward": {"name": "moody"},
        "max_new_tokens": 8,
        **fields,
    }
    request = JobRequest.model_validate(body).filled(model=model)
    with store.begin() as session:
        return jobs.create(
            session,
            request,
            prompts_of(request, {str(item.id): len(item.prompt or "") for item in request.items}),
            idempotency_key=None,
            body_hash=uuid.uuid4().hex,
        )


def ended(store: sessionmaker[Session], job_id: str) -> list[Result]:
    """Results of the prompts that have ended, in their order."""
    with reading(store) as session:
        return results.stream(session, job_id, limit=100)


def statuses(store: sessionmaker[Session], job_id: str) -> dict[str, str]:
    """The state of each prompt."""
    with reading(store) as session:
        rows = select(PromptRow.prompt_id, PromptRow.status).where(PromptRow.job_id == job_id)
        return dict(session.execute(rows).all())


@dataclass
class Stack:
    """Everything but the workers, which a test starts and ends itself."""

    folder: Path
    model: str
    store_url: str
    store: sessionmaker[Session]
    queue: Queue
    reward: Reward
    publisher: Publisher
    workers: list[Child] = field(default_factory=list)

    def with_workers(self, count: int) -> Stack:
        """Starts workers until so many run and take wake-ups."""
        running = [worker for worker in self.workers if worker.running]
        running += [self.worker() for _ in range(count - len(running))]
        for worker in running:
            worker.until_said("ready owner")
        return self

    def holder(self, job_id: str) -> Child:
        """The worker that holds a job's prompts; its owner name carries its process id."""
        with reading(self.store) as session:
            held = select(PromptRow.lease_owner).where(
                PromptRow.job_id == job_id, PromptRow.status == "running"
            )
            (owner,) = set(session.scalars(held))
        return next(worker for worker in self.workers if f"-{worker.pid}-" in str(owner))

    def worker(self, module: str = "workers", **settings: object) -> Child:
        """Starts a worker process."""
        env = environment(
            **{
                "home": self.folder / "home",
                "database_url": self.store_url,
                "redis_url": self.queue.url,
                "reward_url": self.reward.url,
                "reward_probe": "off",  # tests count what is asked of the reward
                "model": self.model,
                "device": "cpu",
                "lease_seconds": LEASE_SECONDS,
                "log_level": "debug",
                **settings,
            }
        )
        child = service(module, self.folder / f"worker-{len(self.workers)}.log", env)
        self.workers.append(child)
        return child

    def post(self, prompts: Sequence[Any], **fields: Any) -> str:
        """Stores a job as the gateway does, and nudges its publisher."""
        created = post_job(self.store, fields.pop("model", self.model), prompts, **fields)
        self.publisher.nudge()
        return created.job_id

    def send(self, task: str, *arguments: object, model: str | None = None) -> None:
        """Puts any message on the queue of a model, past the store."""
        # On a connection of its own: the pools of kombu are shared by all of a process.
        with make_producer(self.queue.url) as app, app.connection_for_write() as connection:
            queue = queue_of(model or self.model)
            app.send_task(task, args=arguments, queue=queue, connection=connection)

    def unsent(self) -> int:
        """How many wake-ups wait in the outbox."""
        with reading(self.store) as session:
            return session.scalar(select(func.count()).select_from(WakeupRow)) or 0

    def groups(self, job_id: str) -> list[str]:
        """The ids of a job's groups."""
        with reading(self.store) as session:
            return list(session.scalars(select(GroupRow.id).where(GroupRow.job_id == job_id)))

    def cancel(self, job_id: str) -> None:
        """As the gateway does."""
        with self.store.begin() as session:
            jobs.request_cancel(session, job_id)

    def job(self, job_id: str) -> Job:
        with reading(self.store) as session:
            found = jobs.view(session, job_id)
        assert found is not None
        return found

    def ended(self, job_id: str) -> Job:
        """The job, once it has ended."""

        def over() -> bool:
            return self.job(job_id).status in ENDED

        until(over, f"{self.job(job_id)} has ended:\n" + "\n".join(w.said for w in self.workers))
        return self.job(job_id)

    def results(self, job_id: str) -> list[Result]:
        """Ended prompts, in their order."""
        return ended(self.store, job_id)

    def rows(self, job_id: str, prompt_id: str, arm: int = 0) -> list[Iteration]:
        with reading(self.store) as session:
            return trace.rows(session, job_id, prompt_id, arm)

    def until_rows(self, job_id: str, count: int) -> None:
        """Waits until every prompt has so many rounds of its method in the store."""
        prompts = self.job(job_id).request["prompts"]

        def there() -> bool:
            return all(len(self.rows(job_id, p["id"])) >= count for p in prompts)

        until(there, f"{count} rounds are stored")


@contextmanager
def running_stack(folder: Path, model: str, store_url: str) -> Iterator[Stack]:
    """A stack in a folder of its own; all of its processes are gone at the end."""
    with ExitStack() as cleanup:
        engine = make_engine(store_url)
        cleanup.callback(engine.dispose)
        store = sessions(engine)
        queue = Queue(folder)
        cleanup.callback(queue.close)
        reward = Reward(folder)
        cleanup.callback(reward.kill)
        publisher = Publisher(queue.url, store, interval_seconds=0.1)
        reconciler = Reconciler(store, publisher.again, interval_seconds=0.3, resend_seconds=1.0)
        publisher.start()
        cleanup.callback(publisher.stop)
        reconciler.start()
        cleanup.callback(reconciler.stop)
        stack = Stack(folder, model, store_url, store, queue, reward, publisher)

        def end_workers() -> None:
            for worker in stack.workers:
                if worker.running:
                    worker.send(signal.SIGCONT)
                    worker.kill()

        cleanup.callback(end_workers)
        yield stack
