"""What a probe found out is shown with its job, the first report for ever."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from sqlalchemy.orm import Session, sessionmaker

from db import jobs, probes
from db.session import reading
from prelogit.wire.probe import (
    Probe,
    ProbeDifference,
    ProbeLatency,
    ProbeScale,
    ProbeText,
)

SAME = ProbeDifference(largest=1e-300, relative=None, texts=15)
FIRST = Probe(
    reward="relevance",
    at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    scale=ProbeScale(mean=-0.0, std=0.1 + 0.2, low=-1.0, high=1.0, distinct=3),
    bounds=(-10.0, 10.0),
    batch=SAME,
    order=SAME,
    on_topic=4,
    pairs=5,
    odd=(ProbeText(text="empty response", characters=0, outcome="refused", reason="\x00 „no“"),),
    latency=ProbeLatency(single_seconds=0.5, responses_per_second=3.0),
    calls=25,
    warnings=("one", "two"),
)


def test_the_first_report_is_shown_and_none_before(
    store: sessionmaker[Session], post: Callable[..., jobs.Created]
) -> None:
    created, other = post(2), post(1)
    with reading(store) as session:
        assert not probes.known(session, created.job_id)
    for told in (FIRST, FIRST.model_copy(update={"reward": "later"})):
        with store.begin() as session:
            probes.report(session, created.job_id, told)
    with reading(store) as session:
        assert probes.known(session, created.job_id)
        assert not probes.known(session, other.job_id)
        listed, _ = jobs.listing(session, status=None, limit=9, cursor=None)
    assert {job.id: job.probe for job in listed} == {created.job_id: FIRST, other.job_id: None}


def test_the_reward_that_does_not_steer_has_a_report_of_its_own(
    store: sessionmaker[Session], post: Callable[..., jobs.Created]
) -> None:
    job_id = post(1).job_id
    second = FIRST.model_copy(update={"reward": "second"})
    with store.begin() as session:
        probes.report(session, job_id, second, held_out=True)
        assert not probes.known(session, job_id)
        assert probes.known(session, job_id, held_out=True)
        probes.report(session, job_id, FIRST)
    with reading(store) as session:
        job = jobs.view(session, job_id)
    assert job is not None
    assert (job.probe, job.held_out_probe) == (FIRST, second)
