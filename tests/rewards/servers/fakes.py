"""Servers of others, as their own documentation says that they answer, with their traps.

Each is ``answer(request, number) -> reply`` for the ``serve`` fixture. They read tokens or text and
score them by ``worth``, so that whoever sends other tokens gets another number.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from typing import Any

Answer = Callable[[Any, int], Any]


def worth(ids: Sequence[int], label: int = 0) -> float:
    """A raw reward, different for nearly every sequence."""
    return sum((place % 7 + 1 + label) * token for place, token in enumerate(ids)) % 1009 / 100 - 5


def letters(text: str) -> list[int]:
    """What a server that reads text scores."""
    return [ord(letter) for letter in text]


def answered(reply: Any, document: Any, status: int = 200) -> Any:
    return reply(json.dumps(document).encode(), status)


def sigmoid(value: float) -> float:
    return 1 / (1 + math.exp(-value))


def softmax(values: list[float]) -> list[float]:
    weights = [math.exp(value - max(values)) for value in values]
    return [weight / sum(weights) for weight in weights]


def activated(values: list[float]) -> list[float]:
    return softmax(values) if len(values) > 1 else [sigmoid(values[0])]


def vllm(
    reply: Any,
    tokenizer: Any,
    *,
    limit: int = 512,
    labels: int = 1,
    model: str = "rm",
    always_active: bool = False,
    alter: Callable[[list[Any]], list[Any]] = lambda data: data,
) -> Answer:
    """/classify, /pooling and /score of vLLM 0.32."""

    def rows(path: str, body: dict[str, Any]) -> list[list[int]]:
        if path == "/score":
            left, right = body["text_1"], body["text_2"]
            left = [left] * len(right) if isinstance(left, str) else left
            return [tokenizer(*pair)["input_ids"] for pair in zip(left, right, strict=True)]
        if "messages" in body:
            text = tokenizer.apply_chat_template(body["messages"], tokenize=False)
            special = body.get("add_special_tokens", False)
            return [tokenizer(text, add_special_tokens=special)["input_ids"]]
        special = body.get("add_special_tokens", True)
        return [
            one
            if isinstance(one, list)
            else tokenizer(one, add_special_tokens=special)["input_ids"]
            for one in body["input"]
        ]

    def answer(request: Any, _: int) -> Any:
        body = request.json
        assert request.path in ("/classify", "/pooling", "/score")
        if body.get("model", model) != model:
            return answered(
                reply, _vllm_error(f"The model `{body['model']}` does not exist.", 404), 404
            )
        read = []
        for ids in rows(request.path, body):
            if (most := body.get("truncate_prompt_tokens")) is not None:
                most = limit if most == -1 else most
                ids = ids[-most:] if body.get("truncation_side") == "left" else ids[:most]
            if len(ids) > limit:
                text = f"This model's maximum context length is {limit} tokens."
                return answered(reply, _vllm_error(text, 400), 400)
            read.append(ids)
        active = body.get("use_activation", True) or always_active
        scored = [[worth(ids, label) for label in range(labels)] for ids in read]
        scored = [activated(values) if active else values for values in scored]
        data = [
            {
                "/classify": {"label": "LABEL_0", "probs": values, "num_classes": labels},
                "/pooling": {"object": "pooling", "data": values},
                "/score": {"object": "score", "score": values[0]},
            }[request.path]
            | {"index": index}
            for index, values in enumerate(scored)
        ]
        tokens = sum(map(len, read))
        usage = {"prompt_tokens": tokens, "total_tokens": tokens, "completion_tokens": 0}
        return answered(
            reply, {"object": "list", "model": model, "data": alter(data), "usage": usage}
        )

    return answer


def _vllm_error(message: str, code: int) -> dict[str, Any]:
    return {"error": {"message": message, "type": "BadRequestError", "param": None, "code": code}}


def sglang(
    reply: Any,
    tokenizer: Any,
    *,
    limit: int = 512,
    labels: int = 1,
    cuts: bool = False,
    bare: bool = False,
    active: bool = False,
) -> Answer:
    """/classify of SGLang 0.5. ``cuts``: --allow-auto-truncate. ``bare``: one is no list."""

    def answer(request: Any, _: int) -> Any:
        body = request.json
        assert request.path == "/classify"
        rows = body.get("input_ids")
        if rows is None:
            rows = [tokenizer(text)["input_ids"] for text in body["text"]]
        found = []
        for ids in rows:
            if len(ids) >= limit and not cuts:
                text = f"The input ({len(ids)} tokens) is longer than the model's context length."
                return answered(reply, {"error": {"message": text}}, 400)
            ids = ids[:limit]
            values = [worth(ids, label) for label in range(labels)]
            found.append(
                {
                    "embedding": activated(values) if active else values,
                    "meta_info": {"id": "x", "prompt_tokens": len(ids)},
                }
            )
        return answered(reply, found[0] if bare and len(found) == 1 else found)

    return answer


def tei(
    reply: Any,
    tokenizer: Any,
    *,
    limit: int = 512,
    labels: Sequence[str] = ("LABEL_0",),
    most: int = 32,
    auto_truncate: bool = True,
    always_active: bool = False,
) -> Answer:
    """/predict of text-embeddings-inference 1.9."""

    def error(status: int, kind: str, text: str) -> Any:
        return answered(reply, {"error": text, "error_type": kind}, status)

    def score(texts: list[str], body: dict[str, Any]) -> Any:
        ids = tokenizer(*texts)["input_ids"]  # special tokens are added always
        if body.get("truncate", auto_truncate):
            left = body.get("truncation_direction", "right") == "left"
            ids = ids[-limit:] if left else ids[:limit]
        if len(ids) > limit:
            return None
        values = [worth(ids, label) for label in range(len(labels))]
        raw = body.get("raw_scores", False) and not always_active
        values = values if raw else activated(values)
        found = [
            {"score": value, "label": label} for value, label in zip(values, labels, strict=True)
        ]
        return sorted(found, key=lambda one: -one["score"])

    def answer(request: Any, _: int) -> Any:
        body = request.json
        assert request.path == "/predict"
        inputs = body["inputs"]
        batch = isinstance(inputs, list) and isinstance(inputs[0], list)
        rows = inputs if batch else [[inputs] if isinstance(inputs, str) else inputs]
        if any(len(row) not in (1, 2) for row in rows):
            return reply(b"Failed to deserialize the JSON body", 422, "text/plain; charset=utf-8")
        if len(rows) > most:
            text = f"batch size {len(rows)} > maximum allowed batch size {most}"
            return error(413, "validation", text)
        if any(not any(row) for row in rows):
            return error(400, "empty", "`inputs` cannot be empty")
        found = [score(row, body) for row in rows]
        if None in found:
            text = f"`inputs` must have less than {limit} tokens."
            return error(413, "validation", text)
        return answered(reply, found if batch else found[0])

    return answer


def openrlhf(reply: Any, tokenizer: Any, *, limit: int = 512) -> Answer:
    """/get_reward of OpenRLHF's serve_rm: no special tokens are added, what is too long is cut."""

    def answer(request: Any, _: int) -> Any:
        assert request.path == "/get_reward"
        rewards = [
            worth(tokenizer(text, add_special_tokens=False)["input_ids"][:limit])
            for text in request.json["query"]
        ]
        extra = {"dummy_scores": rewards}
        return answered(reply, {"rewards": rewards, "scores": rewards, "extra_logs": extra})

    return answer


def infinity(reply: Any, *, limit: int = 512, model: str = "ranker") -> Answer:
    """/rerank of infinity: the best first, a sigmoid by default, what is too long is cut."""

    def answer(request: Any, _: int) -> Any:
        body = request.json
        assert request.path == "/rerank"
        if body.get("model", model) != model:
            text = f"Invalid model: {body['model']}"
            error = {"message": text, "type": None, "param": None, "code": 400}
            return answered(reply, {"error": error}, 400)
        assert isinstance(body["query"], str)
        scores = [worth(letters(body["query"] + text)[:limit]) for text in body["documents"]]
        if not body.get("raw_scores", False):
            scores = [sigmoid(score) for score in scores]
        results = [{"relevance_score": score, "index": index} for index, score in enumerate(scores)]
        results.sort(key=lambda one: -one["relevance_score"])
        usage = {"prompt_tokens": 9, "total_tokens": 9}
        return answered(
            reply, {"object": "rerank", "model": model, "results": results, "usage": usage}
        )

    return answer
