"""An evaluation as jobs of a real service: gateway, queue, worker, reward service."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.settings import Settings
from prelogit import Client
from prelogit.core.errors import InputError, ServiceError
from prelogit.evaluation import through_service as module
from prelogit.evaluation.arms import arm_of
from prelogit.evaluation.running import run_all
from prelogit.evaluation.store import Run, Store, Task
from prelogit.evaluation.through_service import check_tasks, through_service
from tests.api.running import Running
from tests.evaluation.made import SETUP, entry
from tests.workers.services import save_model
from tests.workers.stack import Stack, running_stack

HOW = {"max_new_tokens": 4}
ENTRIES = [entry(name) for name in ("a", "b", "c")]
TASK = Task("moody", arm_of("aisp:n=4,iterations=1,batch_size=1"), 0, ENTRIES)


class KilledError(Exception):
    """The evaluation ends here."""


@pytest.fixture
def stack(tmp_path: Path, fresh_sqlite: str) -> Iterator[Stack]:
    (tmp_path / "model").mkdir()
    with running_stack(tmp_path, save_model(tmp_path / "model"), fresh_sqlite) as found:
        yield found.with_workers(1)


@pytest.fixture
def client(stack: Stack) -> Iterator[Client]:
    settings = Settings(
        _env_file=None, home=stack.folder / "home", database_url=stack.store_url,
        redis_url=stack.queue.url, reward_url=stack.reward.url, model=stack.model,
        poll_seconds=0.02,
    )  # fmt: skip
    running = Running(settings)
    with Client(str(running.client.base_url)) as found:
        yield found
    running.stop()


def killed_at_first(task: Task, run: Run) -> None:
    raise KilledError


def test_what_was_posted_is_found_again_and_no_prompt_is_searched_twice(
    tmp_path: Path, stack: Stack, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"
    with Store(folder, SETUP) as store, pytest.raises(KilledError):
        run_all(through_service(client, store, **HOW), [TASK], store, killed_at_first)
    with Store(folder, SETUP) as store:
        assert len(store.missing(TASK)) == 2
        assert run_all(through_service(client, store, **HOW), [TASK], store) == []
        assert store.missing(TASK) == []
        run = store.run(TASK, ENTRIES[0])
        assert run is not None
        assert [len(row.rewards) for row in run.rows] == [4, 4]
    assert len(list(client.jobs())) == 1
    for one in ENTRIES:
        assert len(stack.reward.mood.calls(str(one.item.prompt))) == 8


def test_a_kill_between_the_post_and_its_note_posts_nothing_twice(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = tmp_path / "out"

    def killed(**fields: object) -> None:
        raise KilledError

    with Store(folder, SETUP) as store, monkeypatch.context() as patch:
        patch.setattr(store, "add_job", killed)
        with pytest.raises(KilledError):
            run_all(through_service(client, store, **HOW), [TASK], store)
    with Store(folder, SETUP) as store:
        run_all(through_service(client, store, **HOW), [TASK], store)
        assert store.missing(TASK) == []
    assert len(list(client.jobs())) == 1


def test_what_failed_gets_a_job_of_its_own_the_next_time(
    tmp_path: Path, stack: Stack, client: Client
) -> None:
    stack.reward.mood.set("nan", "what is b?")
    with Store(tmp_path / "out", SETUP) as store:
        failed = run_all(through_service(client, store, **HOW), [TASK], store)
        assert [(run.result.prompt_id, "NaN" in str(run.failure) or "nan" in str(run.failure)) for run in failed] == [("b", True)]  # fmt: skip
        stack.reward.mood.clear()
        assert run_all(through_service(client, store, **HOW), [TASK], store) == []
        assert store.missing(TASK) == []
    assert [handle.job.counts.total for handle in client.jobs()] == [1, 3]


def test_a_job_that_was_deleted_is_posted_again(tmp_path: Path, client: Client) -> None:
    with Store(tmp_path / "out", SETUP) as store:
        store.add_job(task=TASK.key, job="job_01ARZ3NDEKTSV4RRFFQ69G5FAV", over=False)
        run_all(through_service(client, store, **HOW), [TASK], store)
        assert store.missing(TASK) == []


def test_a_large_task_becomes_several_jobs(
    tmp_path: Path, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "PROMPTS_A_JOB", 2)
    with Store(tmp_path / "out", SETUP) as store:
        run_all(through_service(client, store, **HOW), [TASK], store)
        assert store.missing(TASK) == []
    assert sorted(handle.job.counts.total for handle in client.jobs()) == [1, 2]


def test_what_the_service_would_refuse_is_told_before_anything_is_posted(client: Client) -> None:
    check_tasks(client, [TASK], **HOW)
    with pytest.raises(InputError, match=r"reward\.name"):
        check_tasks(client, [TASK._replace(reward="nothing")], **HOW)
    with pytest.raises(InputError, match="max_new_tokens"):
        check_tasks(client, [TASK], max_new_tokens=10_000)
    assert list(client.jobs()) == []


def test_a_service_that_is_not_there_is_told(tmp_path: Path) -> None:
    with Store(tmp_path / "out", SETUP) as store, Client("http://127.0.0.1:1") as nobody:
        with pytest.raises(ServiceError):
            run_all(through_service(nobody, store, **HOW), [TASK], store)
        assert len(store.missing(TASK)) == 3
