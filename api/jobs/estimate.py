"""What a job would cost, before it is posted."""

from __future__ import annotations

from heapq import nlargest
from typing import NamedTuple

from pydantic import BaseModel
from sqlalchemy.orm import Session

from api.catalog.models import memory_bytes
from api.deps import Gateway
from api.jobs.request import Checked
from db import jobs
from prelogit.core.measured import read_measured
from prelogit.wire.jobs import JobSettings
from prelogit.wire.problem import FieldProblem

JOBS_LOOKED_AT = 10


class Estimate(BaseModel):
    """Answer of ``POST /v1/jobs/estimate``.

    ``candidates`` counts the method's and the baselines', ``generated_tokens_max`` what they
    cost when none ends early. ``seconds``: at the rate of the project's latest jobs, null while
    there are none. ``memory_bytes``: weights, keys and values, and what a step works with, by the
    worker's memory model; null where the model's configuration is not at hand. ``problems``: why a real post would be refused.
    """

    prompts: int
    prompt_tokens: int
    candidates: int
    generated_tokens_max: int
    seconds: float | None
    memory_bytes: int | None
    problems: list[FieldProblem]


class Rate(NamedTuple):
    """What was measured: of decoding a token, and of everything else a candidate needs."""

    seconds_per_token: float
    seconds_per_candidate: float


def estimate(checked: Checked, here: Gateway, session: Session, *, project: str | None) -> Estimate:
    """The costs of a checked body; zeros and nulls where it is too wrong to tell.

    project: whose jobs are looked at for the rate; None: everybody's.
    """
    request, count = checked.settings, len(checked.roll)
    if request is None or count == 0:
        return Estimate(
            prompts=0,
            prompt_tokens=0,
            candidates=0,
            generated_tokens_max=0,
            seconds=None,
            memory_bytes=None,
            problems=checked.problems,
        )
    candidates = count * sum(arm.samples for arm in request.baselines)
    method = count * request.method.samples
    candidates += method if request.budget is None else min(method, request.budget.samples)
    tokens = candidates * request.max_new_tokens
    rate = measured_rate(session, str(request.model), project)
    seconds = None
    if rate is not None:
        seconds = tokens * rate.seconds_per_token + candidates * rate.seconds_per_candidate
    return Estimate(
        prompts=count,
        prompt_tokens=sum(checked.roll.tokens),
        candidates=candidates,
        generated_tokens_max=tokens,
        seconds=seconds,
        memory_bytes=_memory(request, checked, here),
        problems=checked.problems,
    )


def measured_rate(session: Session, model: str, project: str | None) -> Rate | None:
    """Seconds a token and a candidate, over the latest jobs of this model; None before the first."""
    latest, _ = jobs.listing(
        session, status=None, limit=JOBS_LOOKED_AT, cursor=None, project=project, prompts=False
    )
    used = [job.usage for job in latest if job.request.get("model") == model]
    tokens = sum(usage.generated_tokens for usage in used)
    candidates = sum(usage.candidates for usage in used)
    if not tokens or not candidates:
        return None
    return Rate(
        sum(usage.decode_seconds for usage in used) / tokens,
        sum(usage.reward_seconds for usage in used) / candidates,
    )


def _memory(request: JobSettings, checked: Checked, here: Gateway) -> int | None:
    text = here.texts.get(str(request.model))
    shape = text and text.shape()
    if not shape:
        return None
    method, settings = request.method, here.settings
    on_cpu = settings.device in ("auto", "cpu")
    together = min(method.batch_size, len(checked.roll))
    widest = max(getattr(arm, "n", None) or 1 for arm in (method, *request.baselines))
    longest = [count for count in nlargest(together, checked.roll.tokens) if count]
    dtype = settings.dtype
    if dtype == "auto":
        measured = read_measured(settings.home)  # by the first worker that was started
        dtype = measured.get("dtype", "float32") if on_cpu else "bfloat16"
    return memory_bytes(
        shape,
        dtype=dtype,
        on_cpu=on_cpu,
        rows=together * widest,
        max_rows=settings.max_rows,
        memory_gb=settings.memory_gb,
        prompt_tokens=longest or [1],
        new_tokens=request.max_new_tokens,
    )
