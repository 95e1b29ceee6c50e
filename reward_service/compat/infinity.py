"""infinity: ``POST /rerank``: a query is a user message, a document its response.

A body is its own when it names ``raw_scores`` or ``return_documents``. Raw numbers unless
``raw_scores`` is false in so many words. What is too long is cut as the reward is set, as that
server cuts without a word.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from reward_service.compat.openai import envelope, refuse
from reward_service.compat.protocol import (
    Answer,
    Asking,
    Body,
    Protocol,
    activated,
    places_by_score,
)

NO_MODEL = "default/not-specified"


class RerankBody(Body):
    """One query against several documents. top_n: unset is all."""

    query: str
    documents: Annotated[list[str], Field(min_length=1)]
    return_documents: bool = False
    raw_scores: bool | None = None
    model: str | None = None
    top_n: Annotated[int, Field(ge=1)] | None = None


async def rerank(body: RerankBody, asking: Asking) -> Answer:
    """Best first."""
    batcher = asking.find(None if body.model == NO_MODEL else body.model)
    user = [{"role": "user", "content": body.query}]
    scored = await asking.pairs(batcher, [user] * len(body.documents), body.documents)
    scores = activated(batcher, scored.scores, body.raw_scores is False)
    results = [
        {
            "relevance_score": scores[place],
            "index": place,
            "document": body.documents[place] if body.return_documents else None,
        }
        for place in places_by_score(scores)[: body.top_n]
    ]
    name = batcher.hosted.name
    return Answer(envelope("infinity", "rerank", name, scored, results=results), scored)


INFINITY_RERANK = Protocol(
    "infinity",
    RerankBody,
    rerank,
    refuse,
    lambda body: "raw_scores" in body or "return_documents" in body,
)
