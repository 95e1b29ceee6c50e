"""Text Embeddings Inference: ``POST /predict`` and ``POST /rerank``.

``/predict``: a text is a whole text as the model reads it, a pair is a user message and its
response. ``["a", "b"]`` is one pair; a batch is ``[["a"], ["b", "c"]]``. Raw numbers unless
``raw_scores`` is false in so many words. What is too long is refused unless ``truncate`` is true.
"""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi.responses import JSONResponse, Response
from pydantic import Field

from prelogit.rewards.hosted.reward import Scored
from prelogit.wire.problem import Problem
from reward_service.batcher import Batcher
from reward_service.compat.protocol import (
    Answer,
    Asking,
    Body,
    Protocol,
    activated,
    places_by_score,
    refuse_cut,
    refuse_empty,
)
from reward_service.errors import WAIT_SECONDS

Side = Literal["Left", "left", "Right", "right"]
Sequence_ = Annotated[list[str], Field(min_length=1, max_length=2)]
KINDS = {
    400: ("Empty", 400),
    404: ("Validation", 413),
    413: ("Validation", 413),
    422: ("Validation", 413),
    429: ("Overloaded", 429),
    503: ("Unhealthy", 503),
}


class PredictBody(Body):
    """A text, a pair, or a batch of both."""

    inputs: str | Sequence_ | list[Sequence_]
    truncate: bool | None = None
    truncation_direction: Side | None = None
    raw_scores: bool | None = None


class RerankBody(Body):
    """A query, and texts as responses to it."""

    query: str
    texts: list[str]
    truncate: bool | None = None
    truncation_direction: Side | None = None
    raw_scores: bool | None = None
    return_text: bool = False


async def predict(body: PredictBody, asking: Asking) -> Answer:
    """One label an item, the reward's name; in a list of its own where a batch was asked for."""
    batcher = asking.find(None)
    batch, items = _items(body.inputs)
    refuse_empty("inputs", items)
    scored = await _score(items, batcher, asking)
    _refuse_cut(scored, body)
    scores = activated(batcher, scored.scores, body.raw_scores is False)
    found = [[{"score": score, "label": batcher.hosted.name}] for score in scores]
    return Answer(found if batch else found[0], scored)


async def rerank(body: RerankBody, asking: Asking) -> Answer:
    """Best first."""
    batcher = asking.find(None)
    refuse_empty("texts", body.texts)
    user = [{"role": "user", "content": body.query}]
    scored = await asking.pairs(batcher, [user] * len(body.texts), body.texts)
    _refuse_cut(scored, body)
    scores = activated(batcher, scored.scores, body.raw_scores is False)
    found = [
        {"index": place, "score": scores[place]}
        | ({"text": body.texts[place]} if body.return_text else {})
        for place in places_by_score(scores)
    ]
    return Answer(found, scored)


def refuse(problem: Problem, retry: bool) -> Response:
    """``{"error": …, "error_type": …}`` with that server's status for the type."""
    kind, status = KINDS.get(problem.status, ("Backend", 424))
    if problem.status == 503 and "already wait" in problem.detail:
        kind, status = KINDS[429]
    return JSONResponse(
        {"error": problem.detail, "error_type": kind},
        status_code=status,
        headers={"retry-after": str(WAIT_SECONDS)} if retry else None,
    )


def _items(inputs: str | list[str] | list[list[str]]) -> tuple[bool, list[list[str]]]:
    """Whether it is a batch, and its texts and pairs."""
    if isinstance(inputs, str):
        return False, [[inputs]]
    if inputs and isinstance(inputs[0], str):
        return False, [[str(text) for text in inputs]]
    return True, [list(item) for item in inputs]


async def _score(items: list[list[str]], batcher: Batcher, asking: Asking) -> Scored:
    """Texts and pairs, each scored in its own way, in the order of the request."""
    alone = [place for place, item in enumerate(items) if len(item) == 1]
    paired = [place for place, item in enumerate(items) if len(item) == 2]
    scores, tokens, cut = [0.0] * len(items), [0] * len(items), [False] * len(items)
    for places in filter(None, (alone, paired)):
        if places is alone:
            scored = await asking.texts(batcher, [items[place][0] for place in places])
        else:
            before = [[{"role": "user", "content": items[place][0]}] for place in places]
            scored = await asking.pairs(batcher, before, [items[place][1] for place in places])
        for at, place in enumerate(places):
            scores[place], tokens[place] = scored.scores[at], scored.long[at]
            cut[place] = scored.truncated is not None and scored.truncated[at]
    return Scored(scores, tokens, cut)


def _refuse_cut(scored: Scored, body: PredictBody | RerankBody) -> None:
    side = body.truncation_direction
    refuse_cut(scored, allowed=body.truncate is True, side=side, cure="set truncate to true")


TEI_PREDICT = Protocol("tei", PredictBody, predict, refuse, lambda body: "inputs" in body)
TEI_RERANK = Protocol("tei", RerankBody, rerank, refuse, lambda body: "texts" in body)
