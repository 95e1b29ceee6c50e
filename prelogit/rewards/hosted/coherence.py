"""The coherence of an answer by the packaged sentence embeddings, loaded when first needed."""

from __future__ import annotations

import logging

from prelogit.core.errors import ModelError
from prelogit.metrics.coherence import coherence
from prelogit.rewards.hosted.embedding import embed, packaged_embedder
from prelogit.rewards.hosted.reward import Conversation, last_user_text

log = logging.getLogger("prelogit.coherence")


def packaged_coherence(conversation: Conversation, response: str) -> float | None:
    """Cosine of the all-MiniLM-L6-v2 embeddings of the last user turn and the response.

    On CPU, so that no memory of a GPU is taken: about 10 to 90 ms, and once 1.3 s and 150 MB to
    load. The reward "relevance" of this process shares the loaded model.

    Returns: -1 to 1. None: one of the texts is empty, or the embedding model is not installed.
    """
    prompt = last_user_text(conversation) if conversation else ""
    if not prompt.strip() or not response.strip():
        return None
    try:
        found = embed(packaged_embedder(), [prompt, response])
    except ModelError:
        return None
    except Exception as error:  # noqa: BLE001 - a metric must never cost an answer
        log.warning("no coherence: %s", type(error).__name__)
        return None
    return coherence(found.vectors[0], found.vectors[1])
