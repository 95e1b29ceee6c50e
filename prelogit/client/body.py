"""The body of a job, from what a Python user writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal, TypedDict

from pydantic import BaseModel

from prelogit.core.errors import InputError
from prelogit.wire.jobs import Budget, PromptItem, RewardRef, Stop
from prelogit.wire.params import Baseline, MethodParams, Params
from prelogit.wire.priority import Priority
from prelogit.wire.reward import reward_body
from prelogit.wire.webhook import Webhook

Prompt = str | PromptItem | Mapping[str, Any]


class JobFields(TypedDict, total=False):
    """Everything of a job but its prompts; what is left out has the gateway's default."""

    model: str
    method: Params | Mapping[str, Any]
    baselines: Sequence[Baseline | Mapping[str, Any]]
    reward: str | RewardRef | Mapping[str, Any]
    held_out: str | RewardRef | Mapping[str, Any]
    max_new_tokens: int
    seed: int
    keep: Literal["best", "all"]
    top_k: int
    stop: Stop | Mapping[str, Any]
    budget: Budget | Mapping[str, Any]
    template: Literal["chat", "none"]
    priority: Priority
    metadata: Mapping[str, str]
    webhook: str | Webhook | Mapping[str, Any]


def job_body(prompts: Prompt | Iterable[Prompt], fields: Mapping[str, Any]) -> bytes:
    """JSON of a job. One prompt may stand alone.

    Raises: InputError: something in it is not JSON.
    """
    if isinstance(prompts, str | PromptItem | Mapping):
        prompts = [prompts]
    body = {"prompts": list(prompts), **fields}
    for name in ("reward", "held_out"):
        if isinstance(body.get(name), str):
            body[name] = reward_body(body[name])
    if isinstance(body.get("webhook"), str):
        body["webhook"] = {"url": body["webhook"]}
    try:
        text = json.dumps(body, default=_plain, ensure_ascii=False, allow_nan=False)
        return text.encode()
    except UnicodeEncodeError as error:
        raise InputError(
            "a prompt holds half of a surrogate pair, which is no character"
        ) from error
    except (TypeError, ValueError) as error:
        raise InputError(f"the job cannot be written as JSON: {error}") from error


def _plain(value: object) -> Any:
    if isinstance(value, MethodParams):  # what it does not say itself, the gateway fills in
        told = value.model_dump(mode="json", by_alias=True, exclude_none=True, exclude_unset=True)
        return {"name": value.name, **told}
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json", by_alias=True, exclude_none=True)
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, Iterable):
        return list(value)
    raise TypeError(f"{type(value).__name__} {value!r} has no JSON")
