"""vLLM: ``POST /score`` and ``POST /rerank``: a query is a user message, a document its response."""

from __future__ import annotations

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.reward import Scored
from reward_service.batcher import Batcher
from reward_service.compat.openai import envelope, refuse
from reward_service.compat.protocol import (
    Answer,
    Asking,
    Protocol,
    activated,
    as_list,
    places_by_score,
    refuse_empty,
)
from reward_service.compat.vllm import Common, refuse_too_long

Texts = str | list[str]
NAMES = (
    ("text_1", "text_2"),
    ("queries", "documents"),
    ("queries", "items"),
    ("data_1", "data_2"),
)


class ScoreBody(Common):
    """One text against several, or as many against as many, under any of its names."""

    text_1: Texts | None = None
    text_2: Texts | None = None
    queries: Texts | None = None
    documents: Texts | None = None
    items: Texts | None = None
    data_1: Texts | None = None
    data_2: Texts | None = None


class RerankBody(Common):
    """One query against several documents. top_n: 0 is all."""

    query: str
    documents: Texts
    top_n: int = 0


async def score(body: ScoreBody, asking: Asking) -> Answer:
    """In the order of the request."""
    batcher = asking.find(body.model)
    left, right = _sides(body)
    scored, scores = await _score(left, right, body, batcher, asking)
    data = [
        {"index": place, "object": "score", "score": score} for place, score in enumerate(scores)
    ]
    return Answer(envelope("score", "list", batcher.hosted.name, scored, data=data), scored)


async def rerank(body: RerankBody, asking: Asking) -> Answer:
    """Best first."""
    batcher = asking.find(body.model)
    documents = as_list(body.documents)
    refuse_empty("documents", documents)
    left = [body.query] * len(documents)
    scored, scores = await _score(left, documents, body, batcher, asking)
    order = places_by_score(scores)[: body.top_n if body.top_n > 0 else None]
    results = [
        {
            "index": place,
            "document": {"text": documents[place]},
            "relevance_score": scores[place],
        }
        for place in order
    ]
    return Answer(
        envelope("rerank", "rerank", batcher.hosted.name, scored, results=results), scored
    )


async def _score(
    left: list[str], right: list[str], body: Common, batcher: Batcher, asking: Asking
) -> tuple[Scored, list[float]]:
    before = [[{"role": "user", "content": query}] for query in left]
    scored = await asking.pairs(batcher, before, right)
    refuse_too_long(scored, body)
    return scored, activated(batcher, scored.scores, body.use_activation is True)


def _sides(body: ScoreBody) -> tuple[list[str], list[str]]:
    """Both sides, of the same length."""
    for one, two in NAMES:
        first, second = getattr(body, one), getattr(body, two)
        if first is not None and second is not None:
            break
    else:
        raise InputError("give text_1 and text_2, or queries and documents", field="text_1")
    left, right = as_list(first), as_list(second)
    refuse_empty(one, left)
    refuse_empty(two, right)
    if len(left) == 1:
        left = left * len(right)
    if len(left) != len(right):
        raise InputError(
            f"{one} has {len(left)} texts and {two} {len(right)}: give one for all, or as many",
            field=one,
        )
    return left, right


VLLM_SCORE = Protocol(
    "vllm-score",
    ScoreBody,
    score,
    refuse,
    lambda body: any(one in body or two in body for one, two in NAMES),
)
VLLM_RERANK = Protocol("vllm-rerank", RerankBody, rerank, refuse, lambda body: "documents" in body)
