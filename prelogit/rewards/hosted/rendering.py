"""Conversation and response into the one row of tokens that a reward classifier reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.reward import Conversation, Whole
from prelogit.rewards.hosted.truncation import (
    Borders,
    Truncation,
    cut_left,
    cut_right,
    find_borders,
    refusal,
)

MARK = "\ue000response\ue001"  # stands for a response, to see what the template writes around it


class Row(NamedTuple):
    """Tokens of one item. ``types``: segment ids, where the tokenizer has them."""

    ids: list[int]
    types: list[int] | None
    truncated: bool


Render = Callable[[Conversation, str, int], Row]
"""(conversation, response, its place in the call) -> Row"""

RenderText = Callable[[Whole, int], Row]
"""(whole item, its place in the call) -> Row"""


def chat_renderer(tokenizer: Any, limit: int | None, truncation: Truncation = "left") -> Render:
    """Rows by the chat template, which is applied exactly once.

    Special tokens are added by the tokenizer only where the template has written none, so
    that BOS never stands twice. What is too long is cut as ``truncation`` says; the
    template's closing tokens, where the score is read, are kept.
    """

    def render(conversation: Conversation, response: str, place: int) -> Row:
        text = _by_template(tokenizer, conversation, response, place)
        special = not opened(tokenizer, text)
        ids = tokenizer(text, add_special_tokens=special, verbose=False)["input_ids"]
        if limit is None or len(ids) <= limit:
            return Row(ids, None, False)
        if truncation == "refuse":
            raise refusal(place, len(ids), limit)
        borders = _borders(tokenizer, conversation, text, place, special=special)
        if truncation == "right":
            return Row(cut_right(ids, limit, borders, place), None, True)
        kept = cut_left(
            ids, limit, opened=starts_special(tokenizer, ids), borders=borders, place=place
        )
        return Row(kept, None, True)

    return render


def pair_renderer(tokenizer: Any, limit: int | None, truncation: Truncation = "left") -> Render:
    """Rows of an encoder: prompt and response as its two segments; messages joined by line breaks.

    What is too long loses tokens of the longer segment's end, or with ``right`` of the
    response's end only; the special tokens stay.
    """
    strategy = "only_second" if truncation == "right" else "longest_first"

    def render(conversation: Conversation, response: str, place: int) -> Row:
        if not conversation:
            raise InputError(
                f"conversation {place} has no messages: give at least one user message",
                field=f"conversations[{place}]",
            )
        prompt = "\n".join(message["content"] for message in conversation)
        whole = tokenizer(prompt, response, verbose=False)
        length = len(whole["input_ids"])
        if limit is None or length <= limit:
            return Row(whole["input_ids"], whole.get("token_type_ids"), False)
        if truncation == "refuse":
            raise refusal(place, length, limit)
        alone = len(tokenizer(prompt, "", verbose=False)["input_ids"])
        if truncation == "right" and alone >= limit:
            raise InputError(
                f"conversation {place} is {alone} tokens, and the reward model reads {limit}: shorten "
                'it, or set the reward\'s truncation to "left"',
                field=f"conversations[{place}]",
            )
        cut = tokenizer(prompt, response, truncation=strategy, max_length=limit)
        return Row(cut["input_ids"], cut.get("token_type_ids"), True)

    return render


def _by_template(tokenizer: Any, conversation: Conversation, response: str, place: int) -> str:
    messages = [*conversation, {"role": "assistant", "content": response}]
    try:
        return str(tokenizer.apply_chat_template(messages, tokenize=False))
    except Exception as error:  # templates raise what their author chose
        raise InputError(
            f"the reward model's chat template refuses conversation {place} ({error}): "
            "change its roles",
            field=f"conversations[{place}]",
        ) from error


def _borders(
    tokenizer: Any, conversation: Conversation, text: str, place: int, *, special: bool
) -> Borders | None:
    """Where the response stands in the rendered text; None where that cannot be told."""
    around = _by_template(tokenizer, conversation, MARK, place).split(MARK)
    if len(around) != 2 or not getattr(tokenizer, "is_fast", False):
        return None
    head, tail = around
    if not (text.startswith(head) and text.endswith(tail) and len(text) >= len(head) + len(tail)):
        return None
    return find_borders(tokenizer, text, len(head), len(tail), special=special)


def opened(tokenizer: Any, text: str) -> bool:
    """The text itself writes the first special token."""
    openings = (tokenizer.bos_token, tokenizer.cls_token)
    return any(token and text.startswith(token) for token in openings)


def starts_special(tokenizer: Any, ids: list[int]) -> bool:
    """The first token is one that no cut may take."""
    return ids[0] in (tokenizer.bos_token_id, tokenizer.cls_token_id)
