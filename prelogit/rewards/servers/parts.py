"""The responses of a call into requests of bounded size."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

from prelogit.rewards.servers.protocol import Written


def parts(
    written: Sequence[Written],
    items: int,
    size: int,
    *,
    together: Callable[[Written], Hashable] = lambda one: None,
) -> Iterator[list[int]]:
    """Places of at most ``items`` responses and about ``size`` bytes; a larger one stands alone.

    Args: together: only responses for which it is the same share a part.
    """
    groups: dict[Hashable, list[int]] = {}
    for place, one in enumerate(written):
        groups.setdefault(together(one), []).append(place)
    for places in groups.values():
        part: list[int] = []
        length = 0
        for place in places:
            more = _length(written[place])
            if part and (len(part) == items or length + more > size):
                yield part
                part, length = [], 0
            part.append(place)
            length += more
        yield part


def _length(one: Written) -> int:
    """Roughly the bytes that it takes in a request."""
    texts = [one.text or "", *(one.pair or ())]
    texts += [message["content"] for message in one.messages or ()]
    return sum(len(text.encode()) for text in texts) + 7 * len(one.ids or ())
