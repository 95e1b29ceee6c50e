"""What must hold of the store when the faults are over and every job has ended."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

from sqlalchemy import Engine, func, select
from sqlalchemy.orm import Session

from db import jobs, trace
from db.models import EventRow, IterationRow, JobRow, PromptRow, ResultRow
from db.session import reading, sessions
from prelogit.align import AlignedResult
from prelogit.core.records import Result
from prelogit.wire.jobs import ENDED, Job
from tests.promises.chaos import ledger
from tests.promises.chaos.alike import likeness


class Found(NamedTuple):
    """What was looked at, as ``(what, how many)``, and every promise that was broken."""

    counted: list[tuple[str, int]]
    breaches: list[str]


def check(
    engine: Engine,
    accepted: Mapping[int, str],
    results: Mapping[str, Sequence[Result]],
    undisturbed: Mapping[str, Mapping[str, AlignedResult]],
) -> Found:
    """Args: accepted: job ids by place, as clients were told. results: of each job, as the gateway
    exports them. undisturbed: results by prompt id of each job."""
    told = Counter[str]()
    breaches: list[str] = []
    alone = ledger.jobs_with_suspects(engine)
    with reading(sessions(engine)) as session:
        stored = set(session.scalars(select(JobRow.id)))
        for job_id in sorted(set(accepted.values()) - stored):
            breaches.append(f"job {job_id} was accepted and is gone")
        if len(stored) != len(accepted):
            breaches.append(f"{len(accepted)} posts made {len(stored)} jobs")
        for job_id in sorted(stored & results.keys()):
            job = jobs.view(session, job_id)
            assert job is not None
            own = list(results[job_id])
            told.update(result.status for result in own)
            breaches += _one_each(session, job, own)
            breaches += _traces(session, job_id, told)
            breaches += _costs(session, job)
            split = job_id in alone and job.request["budget"] is not None
            breaches += _same(session, own, undisturbed.get(job_id, {}), told, split=split)
    changes, backwards = ledger.breaches(engine)
    names = (
        *("succeeded", "failed", "cancelled", "rounds", "answers compared", "rounds compared"),
        *("priors rounded the other way", "budgets split for a suspect"),
    )
    counted = [("jobs", len(stored)), *((name, told[name]) for name in names)]
    return Found([*counted, ("fences that were raised", changes)], breaches + backwards)


def _one_each(session: Session, job: Job, results: Sequence[Result]) -> Iterator[str]:
    """Every prompt has one result, or a reason."""
    if job.status not in ENDED:
        yield f"{job.id} has not ended: it is {job.status}"
    asked = [prompt["id"] for prompt in job.request["prompts"]]
    exported = Counter(result.prompt_id for result in results)
    for prompt_id in asked:
        if exported[prompt_id] != 1:
            yield f"{job.id} {prompt_id} was exported {exported[prompt_id]} times"
    for result in results:
        where = f"{job.id} {result.prompt_id}"
        if result.status == "succeeded" and (result.response is None or result.reward is None):
            yield f"{where} succeeded without an answer"
        if result.status != "succeeded" and not result.error:
            yield f"{where} is {result.status} without a reason"
    counts = Counter(result.status for result in results)
    shown = {status: getattr(job.counts, status) for status in counts}
    if job.counts.total != len(asked) or shown != dict(counts):
        yield f"{job.id} counts {job.counts}, and its results are {dict(counts)}"
    rows = session.scalar(select(func.count()).where(ResultRow.job_id == job.id))
    if rows != counts["succeeded"]:
        yield f"{job.id} has {rows} stored results, and {counts['succeeded']} succeeded"
    ends = Counter(
        event.data["prompt_id"]
        for event in session.scalars(select(EventRow).where(EventRow.job_id == job.id))
        if event.kind == "result"
    )
    for prompt_id in asked:
        if ends[prompt_id] != 1:
            yield f"{job.id} {prompt_id} was told to have ended {ends[prompt_id]} times"


def _traces(session: Session, job_id: str, told: Counter[str]) -> Iterator[str]:
    """Rounds are numbered without a gap, and each was told of once."""
    key = (IterationRow.prompt_id, IterationRow.arm, IterationRow.k)
    rows = session.execute(select(*key).where(IterationRow.job_id == job_id).order_by(*key)).all()
    told["rounds"] += len(rows)
    numbers: dict[tuple[str, int], list[int]] = {}
    for prompt_id, arm, k in rows:
        numbers.setdefault((prompt_id, arm), []).append(k)
    for (prompt_id, arm), ks in numbers.items():
        if ks != list(range(1, len(ks) + 1)):
            yield f"{job_id} {prompt_id} arm {arm} has the rounds {ks}"
    events = Counter(
        (event.data["prompt_id"], event.data["arm"], event.data["k"])
        for event in session.scalars(select(EventRow).where(EventRow.job_id == job_id))
        if event.kind == "iteration"
    )
    if events != Counter(tuple(row) for row in rows):
        yield f"{job_id} told of other rounds than it has"


def _costs(session: Session, job: Job) -> Iterator[str]:
    """What a job says to have used is what its rounds have used."""
    sums = session.execute(
        select(
            func.sum(IterationRow.n),
            func.sum(IterationRow.tokens),
            func.sum(IterationRow.reward_calls),
            func.sum(IterationRow.reward_tokens),
        ).where(IterationRow.job_id == job.id)
    ).one()
    usage = job.usage
    said = (usage.candidates, usage.generated_tokens, usage.reward_calls, usage.reward_tokens)
    if said != tuple(int(value or 0) for value in sums):
        yield f"{job.id} says to have used {said}, and its rounds {tuple(sums)}"
    budget = job.request["budget"]
    searched = session.scalar(
        select(func.sum(IterationRow.n)).where(IterationRow.job_id == job.id, IterationRow.arm == 0)
    )
    if budget is not None and (searched or 0) > budget["samples"]:
        yield f"{job.id} has had {searched} samples of its budget of {budget['samples']}"
    open_prompts = session.scalar(
        select(func.count()).where(PromptRow.job_id == job.id, PromptRow.lease_owner.is_not(None))
    )
    if open_prompts:
        yield f"{job.id} has ended, and {open_prompts} of its prompts are still held"


def _same(
    session: Session,
    results: Sequence[Result],
    undisturbed: Mapping[str, AlignedResult],
    told: Counter[str],
    *,
    split: bool,
) -> Iterator[str]:
    """Whatever happened on the way, the answer and every round are what they would have been.

    split: a prompt of the job was searched apart from its group, so that shares of the budget may
    be others; rounds are the same as far as both went.
    """
    for result in results:
        if result.status != "succeeded":
            continue
        expected = undisturbed[result.prompt_id]
        rows = trace.rows(session, str(result.job_id), result.prompt_id, 0)
        others = expected.trace.iterations
        told["answers compared"] += 1
        told["rounds compared"] += len(rows)
        if split and len(rows) != len(others):
            told["budgets split for a suspect"] += 1
            both = min(len(rows), len(others))
            rows, others = rows[:both], others[:both]
        elif _answer(result) != _answer(expected):
            yield (
                f"{result.job_id} {result.prompt_id} answered {_answer(result)}, "
                f"undisturbed {_answer(expected)}"
            )
            continue
        found = likeness(rows, others)
        told["priors rounded the other way"] += found == "rounded"
        if found == "other":
            yield f"{result.job_id} {result.prompt_id} has other rounds than undisturbed"


def _answer(result: Result | AlignedResult) -> tuple[object, ...]:
    baselines = [(one.name, one.reward, one.response) for one in result.baselines]
    return (result.response, result.reward, result.samples, result.generated_tokens, baselines)
