"""What a protocol of another server is, and how a request in it is answered."""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Awaitable, Callable, Iterator, Sequence
from typing import Any, NamedTuple

from fastapi import Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, ValidationError

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.reward import Scored, Whole
from prelogit.wire.problem import FieldProblem, Problem
from reward_service.asking import (
    CLIENT_CLOSED_REQUEST,
    hosting_of,
    refuse_half_characters,
    unless_gone,
)
from reward_service.batcher import Batcher
from reward_service.errors import ProblemError, make_problem, problem_of

log = logging.getLogger("prelogit.reward_service")

Items = str | list[str] | list[int] | list[list[int]]

TRUNCATED = "X-Prelogit-Truncated"
"""Header with the places of the items that were cut, for protocols that cannot say it."""


class Body(BaseModel):
    """A request's body: strict about what is read, and deaf to the rest, as those servers are."""

    model_config = ConfigDict(extra="ignore", strict=True, frozen=True, protected_namespaces=())


class Asking(NamedTuple):
    """A request, and the rewards that it may ask."""

    request: Request

    def find(self, model: str | None) -> Batcher:
        """The reward that ``model`` names, else ``?reward=``, else the only one.

        Raises: ProblemError: 404, no such reward; 503, not loaded.
                InputError: several, and none named.
        """
        named = model or self.request.query_params.get("reward")
        hosting = hosting_of(self.request)
        if named is not None and named not in hosting.names():
            try:
                hosting.find(named)
            except ProblemError as error:
                found = error.problem.model_copy(update={"status": 404, "title": "Not Found"})
                raise ProblemError(found) from None
        if named is None and len(hosting.names()) > 1:
            raise InputError(
                f"several rewards are hosted here: name one of {', '.join(hosting.names())} by model "
                "or, where the protocol has none, by ?reward= in the URL",
                field="model",
            )
        return hosting.find(named)

    async def pairs(
        self, batcher: Batcher, conversations: Sequence[Any], responses: Sequence[str]
    ) -> Scored:
        """Scores of responses to conversations.

        Raises: ClientGoneError; whatever the reward raises.
        """
        return await self._scored(batcher.submit(conversations, responses))

    async def texts(self, batcher: Batcher, texts: Sequence[Whole]) -> Scored:
        """Scores of whole texts or token ids, to which no template is applied.

        Raises: InputError: the reward cannot; ClientGoneError; whatever the reward raises.
        """
        return await self._scored(batcher.submit(None, texts))

    async def _scored(self, work: Any) -> Scored:
        scored = await unless_gone(self.request, work)
        if scored is None:
            raise ClientGoneError
        return scored


class Answer(NamedTuple):
    """JSON for the client, and the scores that it was made of."""

    json: Any
    scored: Scored


class Protocol(NamedTuple):
    """``speaks``: whether a body is of this protocol, where others share the path."""

    name: str
    body: type[Body]
    answer: Callable[[Any, Asking], Awaitable[Answer]]
    refuse: Callable[[Problem, bool], Response]
    speaks: Callable[[dict[str, Any]], bool]


class ClientGoneError(Exception):
    """Nobody waits for the answer any more."""


async def serve(protocol: Protocol, request: Request, content: bytes) -> Response:
    """The answer to a request, or its refusal in the protocol's own form."""
    try:
        body = _read(protocol.body, content)
        answer = await protocol.answer(body, Asking(request))
    except ClientGoneError:
        return Response(status_code=CLIENT_CLOSED_REQUEST)
    except Exception as error:  # each becomes the protocol's own refusal
        problem, retry = problem_of(error)
        if problem.status == 500:
            log.exception("a request in the protocol %s failed", protocol.name)
        return protocol.refuse(problem, retry)
    cut = [str(place) for place, was in enumerate(answer.scored.truncated or ()) if was]
    headers = {TRUNCATED: ", ".join(cut)} if cut else None
    return JSONResponse(answer.json, headers=headers)


def parse(content: bytes) -> Any:
    """A body's JSON.

    Raises: ProblemError: 400, it is none.
    """
    try:
        return json.loads(content)
    except (ValueError, RecursionError) as error:
        raise ProblemError(make_problem(400, f"the body is not JSON ({error})")) from None


def activated(batcher: Batcher, scores: Sequence[float], wanted: bool) -> list[float]:
    """The raw scores, or where it is asked for their sigmoid, as one-label models have it.

    Raises: InputError: the model has several labels, whose softmax one number cannot give.
    """
    if not wanted:
        return list(scores)
    if batcher.hosted.labels > 1:
        raise InputError(
            f"the reward {batcher.hosted.name!r} is made of one of {batcher.hosted.labels} labels, "
            "whose softmax would need all of them: ask for raw scores",
            field="use_activation",
        )
    return [_sigmoid(score) for score in scores]


def refuse_cut(
    scored: Scored, *, allowed: bool, cure: str, side: str | None = None, most: int | None = None
) -> None:
    """Where a server of that protocol does not cut texts, this one does not either.

    Args:   cure: what allows it. side: that the request names. most: tokens that it names.
    Raises: InputError: a text was cut, or would have been.
    """
    for place, tokens in enumerate(scored.long):
        cut = scored.truncated is not None and scored.truncated[place]
        if cut and not allowed:
            raise InputError(
                f"text {place} is longer than the {tokens} tokens that the reward model reads: "
                f"shorten it, or {cure}"
            )
        if cut and side is not None:
            raise InputError(
                f"text {place} is longer than the {tokens} tokens that the reward model reads, and "
                "the side that is cut is the reward's own setting: leave the side out"
            )
        if most is not None and most > 0 and tokens > most:
            raise InputError(
                f"text {place} is {tokens} tokens: it can be cut to what the reward model reads, but "
                f"not to {most}"
            )


def places_by_score(scores: Sequence[float]) -> list[int]:
    """Best first, as rerankers answer; ties stand in the order of the request."""
    return sorted(range(len(scores)), key=lambda place: -scores[place])


def as_list(texts: str | list[str]) -> list[str]:
    """One text or several, as several."""
    return [texts] if isinstance(texts, str) else texts


def as_items(given: Items) -> list[Whole]:
    """One text, one row of token ids, or several of either, as several."""
    if isinstance(given, str):
        return [given]
    ids = [token for token in given if isinstance(token, int)]
    if ids:
        return [ids]
    return [item for item in given if not isinstance(item, int)]


def refuse_empty(field: str, texts: Sequence[object]) -> None:
    """Raises: InputError: there is nothing to score."""
    if not texts:
        raise InputError(f"{field} is empty: give at least one text", field=field)


def _read(body: type[Body], content: bytes) -> Body:
    found = parse(content)
    try:
        refuse_half_characters(_strings(found))
        return body.model_validate(found)
    except RecursionError:
        raise ProblemError(make_problem(400, "the body is nested too deeply")) from None
    except ValidationError as error:
        # Of alternatives each says why it does not fit: a field is told once.
        told: dict[str, dict[str, None]] = {}
        for fault in error.errors(include_url=False, include_input=False):
            field = str(fault["loc"][0]) if fault["loc"] else "body"
            told.setdefault(field, {})[str(fault["msg"]).removeprefix("Value error, ")] = None
        said = {field: " or ".join(list(messages)[:3]) for field, messages in told.items()}
        detail = "; ".join(f"{field}: {message}" for field, message in said.items())
        fields = [FieldProblem(field=field, message=message) for field, message in said.items()]
        raise ProblemError(make_problem(422, detail, errors=fields)) from None


def _strings(found: Any, field: str = "body") -> Iterator[tuple[str, str]]:
    if isinstance(found, str):
        yield field, found
    elif isinstance(found, dict):
        for key, value in found.items():
            yield from _strings(value, key if field == "body" else f"{field}.{key}")
    elif isinstance(found, list):
        for place, value in enumerate(found):
            yield from _strings(value, f"{field}.{place}")


def _sigmoid(score: float) -> float:
    if score >= 0:
        return 1.0 / (1.0 + math.exp(-score))
    grown = math.exp(score)
    return grown / (1.0 + grown)
