"""Conversation and response into the one row of tokens that a reward classifier reads."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.reward import Conversation


class Row(NamedTuple):
    """Tokens of one item. ``types``: segment ids, where the tokenizer has them."""

    ids: list[int]
    types: list[int] | None
    truncated: bool


Render = Callable[[Conversation, str, int], Row]
"""(conversation, response, its place in the call) -> Row"""


def chat_renderer(tokenizer: Any, limit: int | None) -> Render:
    """Rows by the chat template, which is applied exactly once.

    Special tokens are added by the tokenizer only where the template has written none, so
    that BOS never stands twice. What is too long loses its beginning (BOS stays): the
    response and the template's closing tokens, where the score is read, are kept.
    """

    def render(conversation: Conversation, response: str, place: int) -> Row:
        messages = [*conversation, {"role": "assistant", "content": response}]
        try:
            text = tokenizer.apply_chat_template(messages, tokenize=False)
        except Exception as error:  # templates raise what their author chose
            raise InputError(
                f"the reward model's chat template refuses conversation {place} ({error}): "
                "change its roles",
                field=f"conversations[{place}]",
            ) from error
        written = any(text.startswith(opening) for opening in _openings(tokenizer))
        ids = tokenizer(text, add_special_tokens=not written, verbose=False)["input_ids"]
        kept = _keep_the_end(tokenizer, ids, limit)
        return Row(kept, None, len(kept) < len(ids))

    return render


def pair_renderer(tokenizer: Any, limit: int | None) -> Render:
    """Rows of an encoder: prompt and response as its two segments; messages joined by line breaks.

    What is too long loses tokens of the longer segment's end; the special tokens stay.
    """

    def render(conversation: Conversation, response: str, place: int) -> Row:
        if not conversation:
            raise InputError(
                f"conversation {place} has no messages: give at least one user message",
                field=f"conversations[{place}]",
            )
        prompt = "\n".join(message["content"] for message in conversation)
        whole = tokenizer(prompt, response, verbose=False)
        if limit is None or len(whole["input_ids"]) <= limit:
            return Row(whole["input_ids"], whole.get("token_type_ids"), False)
        cut = tokenizer(prompt, response, truncation="longest_first", max_length=limit)
        return Row(cut["input_ids"], cut.get("token_type_ids"), True)

    return render


def _openings(tokenizer: Any) -> list[str]:
    return [token for token in (tokenizer.bos_token, tokenizer.cls_token) if token]


def _keep_the_end(tokenizer: Any, ids: list[int], limit: int | None) -> list[int]:
    if limit is None or len(ids) <= limit:
        return ids
    if ids[0] in (tokenizer.bos_token_id, tokenizer.cls_token_id):
        return [ids[0], *ids[len(ids) - limit + 1 :]]
    return ids[len(ids) - limit :]
