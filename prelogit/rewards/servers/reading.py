"""Numbers out of the answers of servers, each at the place of its response."""

from __future__ import annotations

from collections.abc import Sequence

from prelogit.core.errors import RewardAnswerError
from prelogit.rewards.documents import Document
from prelogit.rewards.servers.protocol import Asked


def field(answer: Document, name: str) -> list[object]:
    """The list of that name in an answer.

    Raises: RewardAnswerError: there is none.
    """
    found = answer.get(name) if isinstance(answer, dict) else None
    if not isinstance(found, list):
        raise RewardAnswerError(
            f"the server answered without a list {name!r}: check that the URL and the protocol fit "
            "each other"
        )
    return found


def in_place(entries: Sequence[object], asked: Asked) -> list[dict[str, object]]:
    """Entries with an ``index`` in the order of the request, whatever order they came in.

    Raises: RewardAnswerError: one is missing, doubled, or of no response; names it.
    """
    count = len(asked.places)
    found: list[dict[str, object] | None] = [None] * count
    for entry in entries:
        index = entry.get("index") if isinstance(entry, dict) else None
        if not isinstance(entry, dict) or type(index) is not int or not 0 <= index < count:
            raise RewardAnswerError(
                f"the server answered with an entry without an index from 0 to {count - 1}, so that "
                "it cannot be told which response it scores"
            )
        if found[index] is not None:
            raise RewardAnswerError(
                f"the server answered twice for response {asked.places[index]}: one number for each "
                "response is needed"
            )
        found[index] = entry
    for place, one in zip(asked.places, found, strict=True):
        if one is None:
            raise RewardAnswerError(
                f"{len(entries)} rewards came back for {count} responses: the server did not answer "
                f"for response {place}"
            )
    return [one for one in found if one is not None]


def as_many(entries: Sequence[object], asked: Asked) -> None:
    """Of answers without an index: as many as were asked for.

    Raises: RewardAnswerError: they are not.
    """
    if len(entries) != len(asked.places):
        raise RewardAnswerError(
            f"{len(entries)} rewards came back for {len(asked.places)} responses: the server must "
            "answer with exactly one for each response, in their order"
        )


def chosen(values: object, label: int | str | None, place: int) -> object:
    """The number of one label among those of all.

    Raises: RewardAnswerError: no list; several and none chosen; no such label.
    """
    if not isinstance(values, list) or not values:
        raise RewardAnswerError(
            f"the server's answer for response {place} has no list of numbers: check that the URL and "
            "the protocol fit each other"
        )
    if label is None and len(values) > 1:
        raise RewardAnswerError(
            f"the server answered with {len(values)} numbers for response {place}, one for each label: "
            f"set label to the one that is the reward, 0 to {len(values) - 1}"
        )
    place_of_label = label or 0
    if not isinstance(place_of_label, int) or not 0 <= place_of_label < len(values):
        raise RewardAnswerError(
            f"the server answered with {len(values)} numbers for response {place}, so there is no "
            f"label {label!r}: set label to one of 0 to {len(values) - 1}"
        )
    return values[place_of_label]


def model_of(answer: Document) -> str | None:
    """The model that an answer names."""
    said = answer.get("model") if isinstance(answer, dict) else None
    return said if isinstance(said, str) and said else None


def tokens_of(answer: Document, name: str = "prompt_tokens") -> int:
    """Of OpenAI's ``usage``; 0 where it is not said."""
    usage = answer.get("usage") if isinstance(answer, dict) else None
    return count(usage.get(name)) if isinstance(usage, dict) else 0


def count(said: object) -> int:
    """A number of tokens, 0 for anything else."""
    return said if type(said) is int and said >= 0 else 0


def refuse_probabilities(
    rows: Sequence[object],
    cure: str = "use a version of it that can leave out the activation, or set activation to true",
) -> None:
    """Some servers apply a softmax although raw numbers are asked for; that is seen in its sum.

    Raises: RewardAnswerError: every row is a distribution over two labels or more.
    """
    if rows and all(_is_distribution(row) for row in rows):
        raise RewardAnswerError(
            f"the server answered with probabilities although raw numbers were asked for: {cure}"
        )


def _is_distribution(row: object) -> bool:
    if not isinstance(row, list) or len(row) < 2:
        return False
    if not all(isinstance(one, float) and 0 <= one <= 1 for one in row):
        return False
    return abs(sum(row) - 1) < 1e-3
