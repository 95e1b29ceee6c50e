"""Texts cut so that they fit, for servers that read text and cannot be told how to cut it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.truncation import refusal
from prelogit.rewards.servers.protocol import Truncation


def largest(top: int, fits: Callable[[int], bool]) -> int:
    """The largest of 0 to ``top`` that fits; -1 where not even 0 does."""
    low, high = -1, top
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if fits(middle) else (low, middle - 1)
    return low


def fit_text(tokenizer: Any, text: str, limit: int, truncation: Truncation, place: int) -> str:
    """The text without the end that it may lose.

    Raises: InputError: by the policy ``refuse``.
    """

    def count(part: str) -> int:
        return len(tokenizer(part, verbose=False)["input_ids"])

    tokens = count(text)
    if tokens <= limit:
        return text
    if truncation == "refuse":
        raise refusal(place, tokens, limit)
    if truncation == "right":
        return text[: max(largest(len(text), lambda kept: count(text[:kept]) <= limit), 0)]
    start = len(text)
    return text[start - max(largest(start, lambda kept: count(text[start - kept :]) <= limit), 0) :]


def fit_pair(
    tokenizer: Any, pair: tuple[str, str], limit: int, truncation: Truncation, place: int
) -> tuple[str, str]:
    """Left: the question loses its beginning. Right: the response loses its end.

    Raises: InputError: by the policy ``refuse``, or the other one of the two is too long alone.
    """
    question, response = pair

    def count(left: str, right: str) -> int:
        # As lists: of two texts, an empty second one would be no segment.
        return len(tokenizer([left], [right], verbose=False)["input_ids"][0])

    tokens = count(question, response)
    if tokens <= limit:
        return pair
    if truncation == "refuse":
        raise refusal(place, tokens, limit)
    if truncation == "right":
        kept = largest(len(response), lambda kept: count(question, response[:kept]) <= limit)
        cut = (question, response[: max(kept, 0)])
    else:
        end = len(question)
        kept = largest(end, lambda kept: count(question[end - kept :], response) <= limit)
        cut = (question[end - max(kept, 0) :], response)
    if kept < 1:
        what, other = ("question", "left") if truncation == "right" else ("response", "right")
        raise InputError(
            f"the {what} of response {place} fills the {limit} tokens that the reward model reads: "
            f'shorten it, or set truncation to "{other}"',
            field=f"responses[{place}]",
        )
    return cut
