"""Run one group: claim its prompts, search them, leave every one of them ended or given back."""

from __future__ import annotations

import asyncio
import gc
import logging
from collections.abc import Callable, Collection
from contextlib import closing, nullcontext
from typing import NamedTuple

import torch
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from db import contexts, jobs, turns
from db.leases import Claim
from db.session import reading
from prelogit.core.errors import PrelogitError
from prelogit.engine.report import report
from prelogit.rewards.hosted.coherence import packaged_coherence
from prelogit.rewards.protocol import Score
from prelogit.search.driver import Verdict
from prelogit.solve import solve
from prelogit.telemetry.place import at
from prelogit.value.use import Values
from workers.desk import Desk
from workers.failure import Failure, explain
from workers.probing import probe_rewards, to_be_probed
from workers.resume import pool_share, prompt_jobs
from workers.reward import reward_of
from workers.spans import Spans
from workers.store import transaction
from workers.waiting import Unwanted, every_second, while_wanted
from workers.writer import Writer

log = logging.getLogger("prelogit.workers.run")


def run_group(desk: Desk, group_id: str) -> bool:
    """Claim a group and search it; whether there was one, so that more may wait.

    A silent database ends it early: what is not written comes back when its lease is over.
    """
    ttl_seconds = desk.settings.lease_seconds
    try:
        claim, trace = transaction(
            desk.store,
            lambda session: _claim(desk, session, group_id),
            patience_seconds=ttl_seconds,
        )
        if claim is None:
            log.debug("nothing to claim, woken by group=%r", group_id)
            return False
        with at(job=claim.job_id), desk.heartbeat.holding(claim) as held:
            log.info(
                "claimed job=%s group=%s prompts=%d",
                *(claim.job_id, claim.group_id, len(claim.prompts)),
            )
            new_tokens = claim.request.max_new_tokens
            spans = Spans(claim, trace)
            writer = Writer(
                desk.store,
                held,
                lease_seconds=ttl_seconds,
                stopping=desk.stopping.is_set,
                engine=lambda: report(desk.model, new_tokens),
                metrics=desk.metrics,
                spans=spans,
            )
            with closing(spans):
                _run(desk, writer)
    except SQLAlchemyError as error:
        log.error("left to its lease, woken by group=%r (%s)", group_id, type(error).__name__)
        return False
    return True


def _claim(desk: Desk, session: Session, group_id: str) -> tuple[Claim | None, str | None]:
    """The claim, and the trace that it goes on with."""
    claim = turns.claim(
        session,
        group_id,
        owner=desk.owner,
        model=desk.model.name,
        ttl_seconds=desk.settings.lease_seconds,
    )
    return claim, None if claim is None else contexts.of_group(session, claim.group_id)


def _run(desk: Desk, writer: Writer) -> None:
    if _trusted(desk, writer):
        _search_all(desk, writer)
    # A prompt that broke the device is left to its lease: that counts as an attempt, so that it
    # cannot break one worker after the other for ever.
    if writer.held.open and not desk.broken.is_set():
        writer.give_back(writer.held.open)  # stopped, or cancelled


def _trusted(desk: Desk, writer: Writer) -> bool:
    """Whether the search may begin; the prompts fail with the reason where their reward is refused.

    Raises: SQLAlchemyError.
    """
    try:
        if missing := to_be_probed(desk, writer):
            with writer.spans.probing(len(missing)):
                asyncio.run(probe_rewards(desk, writer, missing, _wanted(desk, writer).still))
    except Unwanted:
        return False
    except SQLAlchemyError:
        raise
    except PrelogitError as error:
        for prompt_id in writer.held.open:
            writer.fail(prompt_id, str(error))
        return False
    except Exception as error:  # noqa: BLE001 - the search says what it makes of such a reward
        failure = explain(error)
        log.error(
            "reward not probed job=%s (%s at %s)",
            *(writer.claim.job_id, type(error).__name__, failure.where),
        )
    return True


def _search_all(desk: Desk, writer: Writer) -> None:
    """The group at once; one by one if that fails, so that one bad prompt fails alone."""
    claim = writer.claim
    failure = _search(desk, writer, writer.held.open)
    if failure is None or failure.broken:
        return
    log.warning(
        "search failed job=%s prompts=%d, now one at a time: %s (%s)",
        *(claim.job_id, len(writer.held.open), failure.reason, failure.where),
    )
    for prompt in claim.prompts:
        if desk.stopping.is_set() or _cancelled(desk, claim):
            return
        if prompt.prompt_id not in writer.held.open:
            continue
        with at(prompt=prompt.prompt_id):
            failure = _search(desk, writer, {prompt.prompt_id})
            if failure is None:
                continue
            log.error(
                "search failed job=%s prompt=%r at %s",
                *(claim.job_id, prompt.prompt_id, failure.where),
            )
            if failure.broken:
                return
            writer.fail(prompt.prompt_id, failure.reason)


def _search(desk: Desk, writer: Writer, wanted: Collection[str]) -> Failure | None:
    """Search the wanted prompts from where they stand; what went wrong, or None.

    Raises: SQLAlchemyError: the database is silent, so that nothing can be written.
    """
    try:
        asyncio.run(_solve(desk, writer, wanted))
    except Unwanted:
        return None
    except SQLAlchemyError:
        raise
    except Exception as error:  # noqa: BLE001 - whatever a model or a prompt may do
        failure = explain(error)
    else:
        return None
    finally:
        desk.model.limit.live = 0  # the engine is gone, however far it was
    if failure.broken:
        desk.broken.set()
        desk.stopping.set()
    elif torch.cuda.is_available():
        gc.collect()  # tasks and their tracebacks hold each other, and the failed batch's memory
        torch.cuda.empty_cache()
    return failure


async def _solve(desk: Desk, writer: Writer, wanted: Collection[str]) -> None:
    claim, settings = writer.claim, desk.settings
    with reading(desk.store) as session:
        found = prompt_jobs(session, claim, wanted)
        share = pool_share(session, claim, wanted)
    named = claim.request.held_out
    reward = reward_of(claim.request.reward, settings)
    second = None if named is None else reward_of(named, settings)
    wanted_by = _wanted(desk, writer)

    def watched(score: Score, role: str) -> Score:
        seen = writer.spans.called(desk.metrics.timed(score, role), role)
        return while_wanted(seen, wanted_by.still, grace_seconds=settings.stop_wait_seconds)

    def on_question(prompt_id: str) -> Verdict:
        if desk.stopping.is_set() or prompt_id not in writer.held.open:
            return "abandon"
        return "cancel" if wanted_by.cancelled() else "continue"

    async with reward, second or nullcontext():
        await solve(
            desk.model,
            found,
            claim.request,
            watched(reward, "steering"),
            writer.callbacks()._replace(on_question=on_question),
            values=Values(settings.home),
            coherence=packaged_coherence if settings.coherence else None,
            nll=settings.nll,
            share=share,
            held_out=None if second is None else watched(second, "held_out"),
        )


class _Wanted(NamedTuple):
    """Looks, at most once a second, whether the job was cancelled, and whether to go on at all."""

    cancelled: Callable[[], bool]
    still: Callable[[], bool]


def _wanted(desk: Desk, writer: Writer) -> _Wanted:
    cancelled = every_second(lambda: _cancelled(desk, writer.claim))

    def still() -> bool:
        return not desk.stopping.is_set() and bool(writer.held.open) and not cancelled()

    return _Wanted(cancelled, still)


def _cancelled(desk: Desk, claim: Claim) -> bool:
    with reading(desk.store) as session:
        return jobs.cancel_requested(session, claim.job_id)
