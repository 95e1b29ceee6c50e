"""What this installation refuses, beyond what the request's own types say."""

from __future__ import annotations

from collections.abc import Iterator

from api.catalog.rewards import RewardCatalog
from api.jobs.rewards import reward_problems
from api.jobs.values import value_problems
from api.settings import Settings
from api.webhooks.allowed import webhook_problems
from prelogit.wire.jobs import JobSettings
from prelogit.wire.params import AISP, Params
from prelogit.wire.problem import FieldProblem


def job_problems(
    request: JobSettings, settings: Settings, rewards: RewardCatalog
) -> list[FieldProblem]:
    """What is wrong with a filled-in request, its prompts apart."""
    return [
        *_model(request, settings),
        *_samples("method", request.method, settings),
        *(
            problem
            for place, baseline in enumerate(request.baselines)
            for problem in _samples(f"baselines.{place}", baseline, settings)
        ),
        *_new_tokens(request, settings),
        *reward_problems("reward", request.reward, settings, rewards),
        *_held_out(request, settings, rewards),
        *value_problems(request, settings),
        *webhook_problems(request.webhook, settings),
    ]


def count_problem(prompts: int | None, most: int) -> FieldProblem:
    """What is said of a job of more prompts than go into one; None: nobody counted to the end."""
    told = f"more than {most:,}" if prompts is None else f"{prompts:,}"
    return FieldProblem(
        field="prompts",
        message=f"has {told} prompts; at most {most:,} go into one job: send several",
        allowed={"maxItems": most},
    )


def _model(request: JobSettings, settings: Settings) -> Iterator[FieldProblem]:
    if request.model not in settings.offered:
        yield FieldProblem(
            field="model",
            message=f"{request.model!r} is not offered by this installation",
            allowed=list(settings.offered),
        )


def _held_out(
    request: JobSettings, settings: Settings, rewards: RewardCatalog
) -> Iterator[FieldProblem]:
    if request.held_out is not None:
        yield from reward_problems("held_out", request.held_out, settings, rewards)


def _samples(field: str, method: Params, settings: Settings) -> Iterator[FieldProblem]:
    if method.samples <= settings.max_samples:
        return
    how = f"{method.samples:,} candidates a prompt"
    if isinstance(method, AISP):
        how = f"n * (iterations + 1) = {method.samples:,} candidates a prompt"
    yield FieldProblem(
        field=f"{field}.n" if "n" in type(method).model_fields else field,
        message=f"asks for {how}; at most {settings.max_samples:,} are accepted",
        allowed={"candidates": settings.max_samples},
    )


def _new_tokens(request: JobSettings, settings: Settings) -> Iterator[FieldProblem]:
    if request.max_new_tokens > settings.max_new_tokens:
        yield FieldProblem(
            field="max_new_tokens",
            message=f"is {request.max_new_tokens:,}; at most {settings.max_new_tokens:,} are accepted",
            allowed={"minimum": 1, "maximum": settings.max_new_tokens},
        )
