"""The prompts of a large job: the first ones with the job, all of them in pages."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from db import jobs, prompt_pages
from db.prompt_pages import SHOWN_PROMPTS
from db.session import reading
from prelogit.core.errors import InputError
from prelogit.wire.jobs import Job, JobPrompt

Store = sessionmaker[Session]
Post = Callable[..., jobs.Created]
LARGE = SHOWN_PROMPTS + 1


def shown(store: Store, job_id: str) -> Job:
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    return job


def read(store: Store, job_id: str, limit: int) -> list[list[JobPrompt]]:
    """All pages."""
    pages, cursor = [], None
    while True:
        with reading(store) as session:
            page, cursor = prompt_pages.page(session, job_id, limit=limit, cursor=cursor)
        pages.append(page)
        if cursor is None:
            return pages


def test_a_large_job_shows_its_first_prompts_and_says_so(store: Store, post: Post) -> None:
    job = shown(store, post(LARGE).job_id)
    assert len(job.request["prompts"]) == job.request["prompts_shown"] == SHOWN_PROMPTS
    assert job.request["prompts"][-1]["id"] == f"p{SHOWN_PROMPTS}"
    assert job.counts.total == LARGE
    whole = shown(store, post(SHOWN_PROMPTS).job_id)
    assert len(whole.request["prompts"]) == SHOWN_PROMPTS
    assert "prompts_shown" not in whole.request


def test_a_job_of_very_long_prompts_shows_less(
    store: Store, post: Post, monkeypatch: pytest.MonkeyPatch
) -> None:
    job_id = post(["x" * 3000] * 3).job_id
    monkeypatch.setattr("db.prompt_pages.SHOWN_BYTES", 7000)
    job = shown(store, job_id)
    assert len(job.request["prompts"]) == job.request["prompts_shown"] == 2
    assert [len(page) for page in read(store, job_id, 10)] == [2, 1]
    monkeypatch.setattr("db.prompt_pages.SHOWN_BYTES", 10)
    assert shown(store, job_id).request["prompts_shown"] == 1
    assert [len(page) for page in read(store, job_id, 10)] == [1, 1, 1]


def test_pages_hold_every_prompt_once_in_order(store: Store, post: Post) -> None:
    sent: list[Any] = [
        "plain",
        {"id": "x", "prompt": "two"},
        {"messages": [{"role": "user", "content": "hi"}]},
    ]
    job_id = post(sent, tokens={"p1": 7, "x": 1}).job_id
    post(2)  # another job's are not among them
    (first, second) = read(store, job_id, 2)
    found = [*first, *second]
    assert len(first) == 2
    assert [(one.prompt_id, one.index, one.status) for one in found] == [
        ("p1", 0, "queued"), ("x", 1, "queued"), ("p3", 2, "queued"),
    ]  # fmt: skip
    assert [one.prompt_tokens for one in found] == [7, 1, 5]
    assert (found[0].item.id, found[0].item.prompt) == ("p1", "plain")
    assert found[2].item.messages is not None
    with reading(store) as session:
        assert prompt_pages.one(session, job_id, "x") == found[1]
        assert prompt_pages.one(session, job_id, "p2") is None
        with pytest.raises(InputError):
            prompt_pages.page(session, job_id, limit=1, cursor="W10")


def test_a_page_of_jobs_ends_once_it_carries_a_thousand_prompts(store: Store, post: Post) -> None:
    large, half, rest, small = (
        post(count).job_id for count in (LARGE, SHOWN_PROMPTS // 2, SHOWN_PROMPTS // 2, 1)
    )

    def pages(**how: Any) -> list[list[str]]:
        found, cursor = [], None
        while True:
            with reading(store) as session:
                page, cursor = jobs.listing(session, status=None, limit=9, cursor=cursor, **how)
            found.append([job.id for job in page])
            if cursor is None:
                return found

    assert pages() == [[small, rest], [half], [large]]
    assert pages(prompts=False) == [[small, rest, half, large]]
