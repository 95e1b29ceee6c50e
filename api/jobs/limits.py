"""What this installation refuses, beyond what the request's own types say."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from api.catalog.models import Text
from api.catalog.rewards import RewardCatalog
from api.jobs.rewards import reward_problems
from api.jobs.values import value_problems
from api.settings import Settings
from api.webhooks.allowed import webhook_problems
from prelogit.core.errors import InputError
from prelogit.text import conversation, encode
from prelogit.wire.jobs import JobRequest, PromptItem
from prelogit.wire.params import AISP, Params
from prelogit.wire.problem import FieldProblem

# No text has tokens of so many characters on average; to count those of megabytes takes a minute.
MOST_CHARACTERS = 64


class Counted(NamedTuple):
    """Prompt tokens by prompt id, and what is wrong with single prompts."""

    tokens: dict[str, int]
    problems: list[FieldProblem]


def job_problems(
    request: JobRequest, settings: Settings, rewards: RewardCatalog
) -> list[FieldProblem]:
    """What is wrong with a filled-in request, its prompts' lengths apart."""
    return [
        *_model(request, settings),
        *_prompt_count(request, settings),
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


def count_prompts(request: JobRequest, text: Text) -> Counted:
    """Counts every prompt with the model's own tokenizer, and compares with what fits."""
    tokens: dict[str, int] = {}
    problems: list[FieldProblem] = []
    most = None
    if text.context_length is not None:
        most = text.context_length - request.max_new_tokens
    for place, item in enumerate(request.prompts):
        assert isinstance(item, PromptItem)  # noqa: S101  (the request is filled in)
        assert item.id is not None  # noqa: S101
        if text.context_length is not None:
            characters = sum(len(message["content"]) for message in conversation(item))
            if characters > text.context_length * MOST_CHARACTERS:
                problems.append(_far_too_long(place, characters, text.context_length))
                continue
        try:
            count = len(encode(text.tokenizer, item, request.template))
        except InputError as error:
            field = f"prompts.{place}" + (f".{error.field}" if error.field else "")
            problems.append(FieldProblem(field=field, message=str(error)))
            continue
        tokens[item.id] = count
        if most is not None and count > most:
            problems.append(_too_long(place, count, request, text.context_length or 0))
    return Counted(tokens, problems)


def _far_too_long(place: int, characters: int, context: int) -> FieldProblem:
    return FieldProblem(
        field=f"prompts.{place}",
        message=f"has {characters:,} characters, far more than fit into the model's context of "
        f"{context:,} tokens: shorten it",
        allowed={"characters": context * MOST_CHARACTERS, "context_length": context},
    )


def _too_long(place: int, count: int, request: JobRequest, context: int) -> FieldProblem:
    most = max(0, context - request.max_new_tokens)
    return FieldProblem(
        field=f"prompts.{place}",
        message=f"has {count:,} tokens; with max_new_tokens {request.max_new_tokens:,} at most "
        f"{most:,} fit into the model's context of {context:,}: shorten it, or lower max_new_tokens",
        allowed={"tokens": count, "maximum": most, "context_length": context},
    )


def _model(request: JobRequest, settings: Settings) -> Iterator[FieldProblem]:
    if request.model not in settings.offered:
        yield FieldProblem(
            field="model",
            message=f"{request.model!r} is not offered by this installation",
            allowed=list(settings.offered),
        )


def _prompt_count(request: JobRequest, settings: Settings) -> Iterator[FieldProblem]:
    if len(request.prompts) > settings.max_prompts:
        yield FieldProblem(
            field="prompts",
            message=f"has {len(request.prompts):,} prompts; at most {settings.max_prompts:,} go "
            "into one job: send several",
            allowed={"maxItems": settings.max_prompts},
        )


def _held_out(
    request: JobRequest, settings: Settings, rewards: RewardCatalog
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


def _new_tokens(request: JobRequest, settings: Settings) -> Iterator[FieldProblem]:
    if request.max_new_tokens > settings.max_new_tokens:
        yield FieldProblem(
            field="max_new_tokens",
            message=f"is {request.max_new_tokens:,}; at most {settings.max_new_tokens:,} are accepted",
            allowed={"minimum": 1, "maximum": settings.max_new_tokens},
        )
