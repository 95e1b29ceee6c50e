"""Jobs for the store, without a gateway."""

from __future__ import annotations

from collections.abc import Mapping

from db.new_prompts import NewPrompts
from prelogit.wire.jobs import JobRequest


def prompts_of(request: JobRequest, tokens: Mapping[str, int] | None = None) -> NewPrompts:
    """The prompts of a request that has been filled in; of 5 tokens, or as many as are told by id."""
    known = tokens or {}
    counts = [known.get(str(item.id), 5) for item in request.items]
    return NewPrompts(counts, lambda: iter(request.items))
