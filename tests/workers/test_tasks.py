"""The task of a worker, run in this process on a real model, store and reward service."""

from __future__ import annotations

import threading
from collections.abc import Callable

from sqlalchemy.orm import Session, sessionmaker

from prelogit.wire.wakeup import RUN_GROUP
from tests.workers.conftest import DeskMaker
from tests.workers.processes import until
from tests.workers.services import Reward
from tests.workers.stack import METHOD, statuses
from workers.app import make_app
from workers.desk import Desk
from workers.tasks import register

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]


def wake(desk: Desk, group_id: str) -> None:
    """As Celery does when a message comes."""
    app = make_app("redis://127.0.0.1:1", "nobody")
    register(app, desk)
    app.tasks[RUN_GROUP](group_id)


def test_one_wake_up_is_enough_for_all_that_waits(
    store: Store, post: Post, make_desk: DeskMaker
) -> None:
    posted = [post([prompt]) for prompt in ("Who?", "What?", "When?")]
    wake(make_desk(), posted[1][1])
    for job_id, _ in posted:
        assert set(statuses(store, job_id).values()) == {"succeeded"}


def test_a_worker_that_is_told_to_stop_begins_no_other_group(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    (first, group_id), (second, _) = post(["Who?"]), post(["What?"])
    desk = make_desk()
    reward.mood.hold(after=METHOD["n"])
    running = threading.Thread(target=wake, args=(desk, group_id))
    running.start()
    until(lambda: reward.mood.holds, "a search is under way")
    desk.stopping.set()
    reward.mood.clear()
    running.join()
    states = {*statuses(store, first).values(), *statuses(store, second).values()}
    assert states == {"queued"}
