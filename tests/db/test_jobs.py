"""Taking jobs in, and showing them."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, timedelta
from threading import Barrier
from typing import Any

import pytest
from sqlalchemy import func, select
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, outbox
from db.models import JobRow, PromptRow
from db.session import now, reading
from prelogit.core.errors import InputError
from prelogit.wire.jobs import Job, JobRequest
from tests.db.posting import prompts_of

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]


def shown(store: Store, job_id: str) -> Job:
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    return job


def test_a_new_job_shows_its_request_with_everything_filled_in(store: Store, post: Post) -> None:
    created = post(
        ["plain", {"id": "p7", "messages": [{"role": "user", "content": "hi"}]}],
        tokens={"p1": 3, "p7": 4},
        method={"name": "aisp", "n": 2, "iterations": 3, "lambda": 0.1},
        baselines=[{"name": "bon"}, {"name": "bon", "noise": "gaussian"}],
        metadata={"team": "x"},
    )
    job = shown(store, created.job_id)
    assert job.id.startswith("job_")
    assert (job.status, job.started_at, job.ended_at, job.error) == ("queued", None, None, None)
    assert job.created_at.tzinfo is UTC
    assert abs(now() - job.created_at) < timedelta(minutes=1)
    assert job.request["model"] == "tiny"
    assert job.request["method"]["lambda"] == 0.1
    assert [b["n"] for b in job.request["baselines"]] == [8, 8]
    assert [p["id"] for p in job.request["prompts"]] == ["p1", "p7"]
    assert job.request["prompts"][1]["messages"] == [{"role": "user", "content": "hi"}]
    assert job.request["metadata"] == {"team": "x"}
    assert job.counts.model_dump() == {
        "total": 2, "queued": 2, "running": 0, "succeeded": 0, "failed": 0, "cancelled": 0,
    }  # fmt: skip
    assert job.progress.iterations_done == 0
    assert job.progress.iterations_total == 2 * (4 + 1 + 1)
    assert job.progress.eta_seconds is None
    assert job.usage.prompt_tokens == 7
    assert [(b.name, b.noise, b.mean) for b in job.reward.baselines] == [
        ("bon", None, None), ("bon", "gaussian", None),
    ]  # fmt: skip
    assert job.links.self == f"/v1/jobs/{job.id}"


def test_prompts_of_like_length_share_a_group(store: Store, post: Post) -> None:
    created = post(
        5,
        tokens={"p1": 90, "p2": 1, "p3": 91, "p4": 2, "p5": 50},
        method={"name": "aisp", "batch_size": 2},
    )
    with reading(store) as session:
        rows = session.execute(select(PromptRow.group_id, PromptRow.prompt_id)).all()
        pending = outbox.pending(session, 10)
    groups = {group: {p for g, p in rows if g == group} for group in created.group_ids}
    assert list(groups.values()) == [{"p2", "p4"}, {"p5", "p1"}, {"p3"}]
    assert [row.group_id for row in pending] == created.group_ids


@pytest.mark.parametrize(
    "text",
    ["quotes ' \" ` \\ ; -- %s :x {}", "жук 😀 \u202e e\u0301", "line\nbreak\ttab\r", "nul\x00nul"],
)
def test_any_text_comes_back_as_it_was(store: Store, post: Post, text: str) -> None:
    created = post([text, {"id": "ünï ' \" 😀", "prompt": text}], metadata={"note": text})
    job = shown(store, created.job_id)
    assert [p["id"] for p in job.request["prompts"]] == ["p1", "ünï ' \" 😀"]
    assert {p["prompt"] for p in job.request["prompts"]} == {text}
    assert job.request["metadata"]["note"] == text


def test_the_same_key_and_body_make_one_job(store: Store, post: Post) -> None:
    first = post(9, key="k", body_hash="same")
    again = post(9, key="k", body_hash="same")
    assert (first.existing, again.existing) == (False, True)
    assert again.job_id == first.job_id
    assert sorted(again.group_ids) == sorted(first.group_ids)
    with pytest.raises(jobs.IdempotencyConflictError, match="new key"):
        post(1, key="k", body_hash="other")
    assert post(1, key="other", body_hash="same").job_id != first.job_id


def test_posts_with_one_key_at_once_make_one_job(store: Store, post: Post) -> None:
    threads = 8
    start = Barrier(threads)

    def racing(_: int) -> jobs.Created:
        start.wait()
        return post(2, key="k", body_hash="same")

    with ThreadPoolExecutor(threads) as pool:
        created = list(pool.map(racing, range(threads)))
    assert len({c.job_id for c in created}) == 1
    assert sum(not c.existing for c in created) == 1
    with reading(store) as session:
        assert session.scalar(select(func.count()).select_from(JobRow)) == 1
        assert session.scalar(select(func.count()).select_from(PromptRow)) == 2
        assert len(outbox.pending(session, 100)) == 1


def test_a_failed_post_leaves_nothing(store: Store) -> None:
    request = JobRequest.model_validate({"prompts": ["a"]}).filled(model="tiny")

    def fail() -> None:
        with store.begin() as session:
            jobs.create(session, request, prompts_of(request), idempotency_key="k", body_hash="h")
            raise RuntimeError("the connection broke before the commit")

    with pytest.raises(RuntimeError):
        fail()
    with reading(store) as session:
        assert session.scalar(select(func.count()).select_from(JobRow)) == 0
        assert outbox.pending(session, 10) == []


def listed(store: Store, **query: Any) -> tuple[list[str], str | None]:
    with reading(store) as session:
        page, cursor = jobs.listing(session, **{"status": None, "cursor": None, **query})
    return [job.id for job in page], cursor


def test_pages_of_jobs_hold_each_job_once_newest_first(store: Store, post: Post) -> None:
    ids = [post(1).job_id for _ in range(5)]
    first, cursor = listed(store, limit=2)
    newest = post(1).job_id  # between two pages: the pages that follow do not shift
    second, cursor = listed(store, limit=2, cursor=cursor)
    third, end = listed(store, limit=2, cursor=cursor)
    assert first + second + third == ids[::-1]
    assert end is None
    assert listed(store, limit=100)[0] == [newest, *ids[::-1]]


def test_jobs_are_listed_by_status(store: Store, post: Post) -> None:
    kept, stopped = post(1).job_id, post(1).job_id
    with store.begin() as session:
        jobs.request_cancel(session, stopped)
    assert listed(store, limit=9, status="cancelled") == ([stopped], None)
    assert listed(store, limit=9, status="queued") == ([kept], None)
    assert listed(store, limit=9, status="nul\x00") == ([], None)


@pytest.mark.parametrize(
    "cursor", ["", "x", "é", "WyJhIl0", "WzFd", "bnVsbA", "W10", "\x00", "W" * 9000]
)
def test_a_cursor_that_is_not_ours_is_refused(store: Store, cursor: str) -> None:
    with pytest.raises(InputError) as caught:
        listed(store, limit=1, cursor=cursor)
    assert caught.value.field == "cursor"


def test_a_page_of_huge_jobs_ends_early(
    store: Store, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = [post(["x" * 3000]).job_id for _ in range(3)]
    monkeypatch.setattr("db.views.PAGE_BYTES", 8000)
    first, cursor = listed(store, limit=100)
    assert first == [ids[2], ids[1]]
    assert listed(store, limit=100, cursor=cursor) == ([ids[0]], None)


@pytest.mark.parametrize("job_id", ["job_unknown", "", "nul\x00", "\ud800", "x" * 10_000])
def test_an_unknown_job_is_none_everywhere(store: Store, job_id: str) -> None:
    with reading(store) as session:
        assert jobs.view(session, job_id) is None
        assert jobs.status(session, job_id) is None
    with store.begin() as session:
        assert jobs.request_cancel(session, job_id) is None
        assert jobs.retry(session, job_id) is None
        assert jobs.delete(session, job_id) is None
