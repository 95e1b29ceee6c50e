"""vLLM: ``POST /classify`` and ``POST /pooling``, with ``input`` or with ``messages``.

``input`` is whole texts, or token ids, as the model reads them: of a text BOS stands once, whoever
writes it, and no template is applied. ``messages`` is one conversation whose last message is the response, and
the reward's own template is applied. Raw numbers unless ``use_activation`` is true. What is too
long is refused, as that server does, unless ``truncate_prompt_tokens`` says otherwise.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.reward import Scored
from reward_service.batcher import Batcher
from reward_service.compat.openai import envelope, refuse
from reward_service.compat.protocol import (
    Answer,
    Asking,
    Body,
    Items,
    Protocol,
    activated,
    as_items,
    refuse_cut,
    refuse_empty,
)

ALLOWED = "set truncate_prompt_tokens to -1"


class Part(Body):
    """A piece of a message; only text can be scored."""

    type: Literal["text"]
    text: str


class ChatMessage(Body):
    """A turn of a conversation."""

    role: Literal["system", "user", "assistant"]
    content: str | list[Part]


class Common(Body):
    """What all of vLLM's requests share. The side of a cut is the reward's own setting."""

    model: str | None = None
    use_activation: bool | None = None
    truncate_prompt_tokens: Annotated[int, Field(ge=-1)] | None = None
    truncation_side: Literal["left", "right"] | None = None


class ItemsBody(Common):
    """Texts or one conversation."""

    input: Items | None = None
    messages: list[ChatMessage] | None = None
    add_generation_prompt: bool = False
    continue_final_message: bool = False
    chat_template: str | None = None
    chat_template_kwargs: dict[str, object] | None = None


class PoolingBody(ItemsBody):
    """As classify; the numbers come as a list of floats only."""

    task: Literal["classify", "encode", "pooling"] | None = None
    encoding_format: Literal["float"] = "float"
    dimensions: None = None


async def classify(body: ItemsBody, asking: Asking) -> Answer:
    """One class an item, which is the reward; its number stands in ``probs``."""
    batcher, scored, scores = await _score(body, asking)
    data = [
        {"index": place, "label": batcher.hosted.name, "probs": [score], "num_classes": 1}
        for place, score in enumerate(scores)
    ]
    return Answer(envelope("classify", "list", batcher.hosted.name, scored, data=data), scored)


async def pooling(body: PoolingBody, asking: Asking) -> Answer:
    """A vector of one number an item."""
    batcher, scored, scores = await _score(body, asking)
    data = [
        {"index": place, "object": "pooling", "data": [score]} for place, score in enumerate(scores)
    ]
    return Answer(envelope("pool", "list", batcher.hosted.name, scored, data=data), scored)


def refuse_too_long(scored: Scored, body: Common) -> None:
    """Raises: InputError: a text was cut that the request did not allow to be cut so."""
    most = body.truncate_prompt_tokens
    refuse_cut(scored, allowed=most is not None, most=most, side=body.truncation_side, cure=ALLOWED)


async def _score(body: ItemsBody, asking: Asking) -> tuple[Batcher, Scored, list[float]]:
    batcher = asking.find(body.model)
    if (body.input is None) == (body.messages is None):
        raise InputError("give either input or messages", field="input")
    if body.messages is not None:
        before, response = _conversation(body)
        scored = await asking.pairs(batcher, [before], [response])
    else:
        items = as_items(body.input if body.input is not None else [])
        refuse_empty("input", items)
        scored = await asking.texts(batcher, items)
    refuse_too_long(scored, body)
    return batcher, scored, activated(batcher, scored.scores, body.use_activation is True)


def _conversation(body: ItemsBody) -> tuple[list[dict[str, str]], str]:
    if body.chat_template or body.chat_template_kwargs or body.continue_final_message:
        raise InputError(
            "the reward has its own chat template: leave chat_template, chat_template_kwargs and "
            "continue_final_message out",
            field="chat_template",
        )
    turns = [{"role": each.role, "content": _text(each.content)} for each in body.messages or []]
    if body.add_generation_prompt or not turns or turns[-1]["role"] != "assistant":
        raise InputError(
            "the last message is the response that is scored: it must be the assistant's, without "
            "add_generation_prompt",
            field="messages",
        )
    return turns[:-1], turns[-1]["content"]


def _text(content: str | list[Part]) -> str:
    return content if isinstance(content, str) else "\n".join(part.text for part in content)


VLLM_CLASSIFY = Protocol(
    "vllm-classify",
    ItemsBody,
    classify,
    refuse,
    lambda body: "input" in body or "messages" in body,
)
VLLM_POOLING = Protocol("vllm-pooling", PoolingBody, pooling, refuse, lambda _: True)
