"""A conversation and a response into what a server is to read."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prelogit.core.errors import InputError, ModelError
from prelogit.rewards.hosted.rendering import chat_renderer
from prelogit.rewards.hosted.reward import Conversation
from prelogit.rewards.servers.fitting import fit_pair, fit_text, largest
from prelogit.rewards.servers.protocol import Protocol, Settings, Written

Write = Callable[[Conversation, str, int], Written]
"""(conversation, response, its place in the call) -> Written"""

UNKNOWN_LENGTH = 10**9  # transformers writes 1e30 for a limit that it does not know


def writer(protocol: Protocol, settings: Settings) -> Write:
    """How the responses of this reward are written.

    The functions raise InputError for a conversation that cannot be written, and for what is
    too long by the policy ``refuse``; both name its place.
    """
    # Whether the server itself has cut something is known only of some.
    told = settings.truncation == "refuse" or settings.tokenizer is not None
    known = False if told and protocol.refuses else None
    if settings.text == "chat" and settings.tokenizer is None:
        return lambda conversation, response, place: Written(
            messages=_messages(conversation, response), cut=known
        )
    limit = limit_of(settings)
    if settings.max_tokens is not None and settings.tokenizer is not None:
        known = False  # counted here
    if settings.text == "chat" and protocol.ids:
        render = chat_renderer(settings.tokenizer, limit, settings.truncation)

        def tokens(conversation: Conversation, response: str, place: int) -> Written:
            row = render(conversation, response, place)
            return Written(ids=row.ids, cut=row.truncated or known)

        return tokens
    if settings.text == "chat":
        return _templated(protocol, settings, limit, known)
    if settings.text == "plain" and protocol.pairs:

        def pair(conversation: Conversation, response: str, place: int) -> Written:
            whole = (last_user_text(conversation, place), response)
            kept = whole
            if limit is not None:
                kept = fit_pair(settings.tokenizer, whole, limit, settings.truncation, place)
            return Written(pair=kept, cut=kept != whole or known)

        return pair

    def text(conversation: Conversation, response: str, place: int) -> Written:
        whole = response
        if settings.text == "plain":
            whole = f"{last_user_text(conversation, place)}\n{response}"
        kept = whole
        if limit is not None:
            kept = fit_text(settings.tokenizer, whole, limit, settings.truncation, place)
        return Written(text=kept, cut=kept != whole or known)

    return text


def limit_of(settings: Settings) -> int | None:
    """Most tokens that are sent, where they are counted on this side."""
    if settings.tokenizer is None:
        return None
    if settings.max_tokens is not None:
        return settings.max_tokens
    own = settings.tokenizer.model_max_length
    return int(own) if own < UNKNOWN_LENGTH else None


def load_tokenizer(tokenizer: Any) -> Any:
    """The tokenizer of a folder or hub id; one that is loaded already is taken as it is.

    Raises: ModelError: it cannot be had.
    """
    if not isinstance(tokenizer, str):
        return tokenizer
    from transformers import AutoTokenizer

    try:
        return AutoTokenizer.from_pretrained(tokenizer, trust_remote_code=False)
    except (OSError, ValueError, KeyError, ImportError) as error:
        raise ModelError(
            f"the tokenizer {tokenizer!r} cannot be loaded ({type(error).__name__}): give a folder "
            "with the reward model's tokenizer, or a Hugging Face id that this machine can reach or "
            "has in its cache"
        ) from error


def last_user_text(conversation: Conversation, place: int) -> str:
    """
    Raises: InputError: the user has said nothing.
    """
    for message in reversed(conversation):
        if message["role"] == "user":
            return message["content"]
    raise InputError(
        f"conversation {place} has no user message, which is what this reward reads: add one",
        field=f"conversations[{place}]",
    )


def _templated(
    protocol: Protocol, settings: Settings, limit: int | None, known: bool | None
) -> Write:
    """By the tokenizer's chat template, as text."""
    tokenizer = settings.tokenizer
    render = chat_renderer(tokenizer, limit, settings.truncation)
    whole = chat_renderer(tokenizer, None)

    def write(conversation: Conversation, response: str, place: int) -> Written:
        cut = render(conversation, response, place).truncated
        if cut and settings.truncation == "right" and limit is not None:
            # The row above is tokens; this is the text that gives no more of them.
            kept = largest(
                len(response),
                lambda kept: len(whole(conversation, response[:kept], place).ids) <= limit,
            )
            response = response[: max(kept, 0)]
        text = str(tokenizer.apply_chat_template(_messages(conversation, response), tokenize=False))
        if cut and settings.truncation == "left" and limit is not None:
            text = _beheaded(tokenizer, text, limit)
        if protocol.adds_special:
            text = _without_special(tokenizer, text, place)
        return Written(text=text, cut=cut or known)

    return write


def _beheaded(tokenizer: Any, text: str, limit: int) -> str:
    """The text without its beginning, BOS excepted."""
    opening = _opening(tokenizer, text)
    special = not opening
    end = len(text)

    def fits(kept: int) -> bool:
        part = opening + text[end - kept :]
        return len(tokenizer(part, add_special_tokens=special, verbose=False)["input_ids"]) <= limit

    return opening + text[end - max(largest(end - len(opening), fits), 0) :]


def _without_special(tokenizer: Any, text: str, place: int) -> str:
    """The text to which a server's tokenizer may add its special tokens: none stands twice.

    Raises: InputError: it would add others than the template writes.
    """
    opening = _opening(tokenizer, text)
    wanted = tokenizer(text, add_special_tokens=not opening, verbose=False)["input_ids"]
    for sent in (text[len(opening) :], text):
        if tokenizer(sent, verbose=False)["input_ids"] == wanted:
            return sent
    raise InputError(
        f"the server would read special tokens in response {place} that its chat template does not "
        "write (the tokenizer adds them to every text): serve the model by vLLM or SGLang, which take "
        "tokens",
        field=f"responses[{place}]",
    )


def _opening(tokenizer: Any, text: str) -> str:
    """The special token that the template itself has written first, or nothing."""
    openings = (tokenizer.bos_token, tokenizer.cls_token)
    return next((token for token in openings if token and text.startswith(token)), "")


def _messages(conversation: Conversation, response: str) -> list[dict[str, str]]:
    return [*conversation, {"role": "assistant", "content": response}]
