"""Results of prompts that have none stored: queued, running, or ended without their worker."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from functools import cache
from typing import Any

from sqlalchemy import Select, bindparam, func, select
from sqlalchemy.orm import Session, aliased

from db.models import CandidateRow, IterationRow, PromptRow
from db.trace import candidate
from prelogit.core.records import Candidate, ModelRef, Result, Seconds


def results(
    session: Session, job_id: str, settings: dict[str, Any], prompts: Sequence[PromptRow]
) -> dict[str, Result]:
    """Each prompt's state with its best so far and its costs so far, by prompt id."""
    if not prompts:
        return {}
    ids = [prompt.prompt_id for prompt in prompts if prompt.rounds_done]
    best = _best(session, job_id, ids, settings["top_k"])
    costs = _costs(session, job_id, ids)
    found = {}
    for prompt in prompts:
        responses = tuple(best[prompt.prompt_id])
        first = responses[0] if responses else None
        found[prompt.prompt_id] = Result.model_validate(
            {
                "job_id": job_id,
                "prompt_id": prompt.prompt_id,
                "index": prompt.index,
                "status": prompt.status,
                "response": first and first.text,
                "responses": responses,
                "finish_reason": first and first.finish_reason,
                "reward": first and first.reward,
                "prompt_tokens": prompt.prompt_tokens,
                "seed": settings["seed"],
                "model": ModelRef(name=settings["model"]),
                "error": prompt.error,
                **costs.get(prompt.prompt_id, {}),
            }
        )
    return found


def _best(
    session: Session, job_id: str, ids: Sequence[str], top_k: int
) -> dict[str, list[Candidate]]:
    best: dict[str, list[Candidate]] = defaultdict(list)
    if ids:
        asked = {"job": job_id, "ids": ids, "top_k": top_k}
        for found in session.scalars(_best_query(), asked):
            best[found.prompt_id].append(candidate(found))
    return best


@cache  # to make these statements costs more than to run them
def _best_query() -> Select[CandidateRow]:
    # Of a text that was drawn more than once the best alone, as in a stored result.
    copy = _numbered(CandidateRow, CandidateRow.prompt_id, CandidateRow.text)
    copies = (
        select(CandidateRow, copy.label("copy"))
        .where(
            CandidateRow.job_id == bindparam("job"),
            CandidateRow.prompt_id.in_(bindparam("ids", expanding=True)),
            CandidateRow.arm == 0,
        )
        .subquery()
    )
    one = aliased(CandidateRow, copies)
    number = _numbered(one, one.prompt_id)
    ranked = select(one, number.label("number")).where(copies.c.copy == 1).subquery()
    row = aliased(CandidateRow, ranked)
    query = select(row).where(ranked.c.number <= bindparam("top_k")).order_by(ranked.c.number)
    return query.execution_options(populate_existing=True)


def _numbered(row: Any, *within: Any) -> Any:
    """1, 2, … from the answer on. By place where only the best are kept; else it says no more than
    which of a round the method passed over."""
    order = (row.place, row.reward.desc(), row.iteration, row.sample)
    return func.row_number().over(partition_by=within, order_by=order)


def _costs(session: Session, job_id: str, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = session.execute(_costs_query(), {"job": job_id, "ids": ids}) if ids else ()
    return {
        prompt_id: {
            "iterations": rounds,
            "samples": int(samples or 0),
            "generated_tokens": int(tokens or 0),
            "seconds": Seconds(decode=decode or 0, reward=reward or 0, wait=wait or 0),
        }
        for prompt_id, rounds, samples, tokens, decode, reward, wait in rows
    }


@cache
def _costs_query() -> Select[str, int, int, int, float, float, float]:
    return (
        select(
            IterationRow.prompt_id,
            func.count(),
            func.sum(IterationRow.n),
            func.sum(IterationRow.tokens),
            func.sum(IterationRow.decode_seconds),
            func.sum(IterationRow.reward_seconds),
            func.sum(IterationRow.wait_seconds),
        )
        .where(
            IterationRow.job_id == bindparam("job"),
            IterationRow.prompt_id.in_(bindparam("ids", expanding=True)),
            IterationRow.arm == 0,
        )
        .group_by(IterationRow.prompt_id)
    )
