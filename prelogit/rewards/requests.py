"""A call into request bodies of bounded size."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import NamedTuple


class Part(NamedTuple):
    """One request's JSON body, and how many responses it asks about."""

    body: bytes
    responses: int


def bodies(
    reward: str | None,
    conversations: Sequence[Sequence[dict[str, str]]],
    responses: Sequence[str],
    *,
    items: int,
    size: int,
) -> Iterator[Part]:
    """The call in order, in parts of at most ``items`` responses and about ``size`` bytes.

    A single item that is larger stands alone. Text that is not Unicode (half of a surrogate
    pair) is sent with question marks in its place.
    """
    head = b"{" + (b'"reward":' + _encode(reward) + b"," if reward is not None else b"")
    left: list[bytes] = []
    right: list[bytes] = []
    length = 0
    for conversation, response in zip(conversations, responses, strict=True):
        asked, answered = _encode(conversation), _encode(response)
        if right and (len(right) == items or length + len(asked) + len(answered) > size):
            yield _part(head, left, right)
            left, right, length = [], [], 0
        left.append(asked)
        right.append(answered)
        length += len(asked) + len(answered) + 2
    if right:
        yield _part(head, left, right)


def _part(head: bytes, left: list[bytes], right: list[bytes]) -> Part:
    body = b'"conversations":[' + b",".join(left) + b'],"responses":[' + b",".join(right) + b"]}"
    return Part(head + body, len(right))


def _encode(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
