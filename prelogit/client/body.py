"""The body of a job, from what a Python user writes."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Literal, NamedTuple, TypedDict

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


# So many prompts, or bytes, still go as one JSON object; more go as lines.
WHOLE_PROMPTS = 1000
WHOLE_BYTES = 2**20


class Body(NamedTuple):
    """A job as it is sent: as JSON, or where it is large as lines in a file without a name."""

    content: bytes | IO[bytes]
    media_type: str


@contextmanager
def job_body(prompts: Prompt | Iterable[Prompt], fields: Mapping[str, Any]) -> Iterator[Body]:
    """A job. One prompt may stand alone; the prompts are read once, and all before any is sent.

    Raises: InputError: something in it is not JSON.
    """
    if isinstance(prompts, str | PromptItem | Mapping):
        prompts = [prompts]
    told = dict(fields)
    for name in ("reward", "held_out"):
        if isinstance(told.get(name), str):
            told[name] = reward_body(told[name])
    if isinstance(told.get("webhook"), str):
        told["webhook"] = {"url": told["webhook"]}
    settings = _json(told)
    with SpooledTemporaryFile(WHOLE_BYTES) as file:
        file.write(settings + b"\n")
        count = 0
        for count, prompt in enumerate(prompts, start=1):  # noqa: B007 - the last is the number
            file.write(_json(prompt) + b"\n")
        large = count > WHOLE_PROMPTS or file.tell() > WHOLE_BYTES
        file.seek(0)
        if large:
            yield Body(file, "application/x-ndjson")
            return
        items = b", ".join(file.read().split(b"\n")[1:-1])
        rest = b", " + settings[1:] if told else b"}"
        yield Body(b'{"prompts": [' + items + b"]" + rest, "application/json")


def _json(value: Any) -> bytes:
    try:
        return json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False).encode()
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
