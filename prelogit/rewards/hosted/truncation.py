"""What becomes of a row that is longer than the reward model reads.

``left``: it loses its beginning. ``right``: the response loses its end. ``refuse``: an error.
The first token (BOS) and the template's closing tokens, where the score is read, always stay.
"""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

from prelogit.core.errors import InputError

Truncation = Literal["left", "right", "refuse"]


class Borders(NamedTuple):
    """Places in a row of tokens: of the response's first one, and of the first one after it."""

    response: int
    closing: int


def refusal(place: int, tokens: int, limit: int) -> InputError:
    """The error of the policy ``refuse``."""
    return InputError(
        f"response {place} and its conversation are {tokens} tokens, of which the reward model reads "
        f'{limit}: shorten them, or set the reward\'s truncation to "left" or "right"',
        field=f"responses[{place}]",
    )


def cut_left(
    ids: list[int], limit: int, *, opened: bool, borders: Borders | None, place: int
) -> list[int]:
    """The row without its beginning.

    Args:   opened: its first token stays. borders: None where they are not known.
    Raises: InputError: the closing tokens alone do not fit.
    """
    if borders is not None and len(ids) - borders.closing > limit - opened:
        raise InputError(
            f"the reward model's template closes with {len(ids) - borders.closing} tokens, more than "
            f"fit into {limit}: raise the reward's max_tokens",
            field=f"responses[{place}]",
        )
    if opened:
        return [ids[0], *ids[len(ids) - limit + 1 :]]
    return ids[len(ids) - limit :]


def cut_right(ids: list[int], limit: int, borders: Borders | None, place: int) -> list[int]:
    """The row without the end of its response.

    Raises: InputError: the conversation alone is too long, or the response is not found.
    """
    if borders is None:
        raise InputError(
            f"response {place} is too long for the reward model, and where it ends in the chat "
            "template's text cannot be told: set the reward's truncation to \"left\"",
            field=f"responses[{place}]",
        )
    closing = ids[borders.closing :]
    room = limit - len(closing)
    if room <= borders.response:
        raise InputError(
            f"conversation {place} is {borders.response + len(closing)} tokens with the template around "
            f"it, and the reward model reads {limit}: shorten it, or set the reward's truncation to "
            '"left"',
            field=f"conversations[{place}]",
        )
    return [*ids[:room], *closing]


def find_borders(tokenizer: Any, text: str, head: int, tail: int, *, special: bool) -> Borders:
    """Borders in tokens, from those in characters; a token on a border belongs to the template.

    Args: head: characters before the response. tail: characters after it.
    """
    spans = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True, verbose=False)[
        "offset_mapping"
    ]
    end = len(text) - tail
    closing = len(spans)
    # A token that the tokenizer adds by itself stands for no character.
    while closing and (spans[closing - 1][1] > end or spans[closing - 1][1] == 0):
        closing -= 1
    response = 0
    while response < closing and spans[response][0] < head:
        response += 1
    return Borders(response, closing)
