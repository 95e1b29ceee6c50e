"""Log-odds of yes against no, from the log-probabilities of an answer's first token."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from prelogit.core.errors import RewardAnswerError

_NONE = -9999.0  # what OpenAI and vLLM write where there is no log-probability
_ROUNDING = 1e-3
_BLANKS = " \t\n\r\"'*.,!Ġ▁"


def log_odds(choice: dict[str, Any], place: int) -> float:
    """ln P(yes) - ln P(no), spellings summed.

    Raises: RewardAnswerError: the server gives no log-probabilities, or one of both words is not
            among the likeliest: nothing is put in its place.
    """
    tops = _tops(choice)
    if not tops:
        raise RewardAnswerError(
            f"the server gave no log-probabilities for response {place}: switch them on there, or use "
            'form="grade"'
        )
    yes, no = (_total(tops, word) for word in ("yes", "no"))
    for word, total in (("yes", yes), ("no", no)):
        if total is None:
            likeliest = max(tops, key=lambda top: top[1])[0]
            raise RewardAnswerError(
                f"{word!r} is not among the {len(tops)} likeliest first words of the judge's answer for "
                f"response {place} (the likeliest is {likeliest[:20]!r}): raise top_logprobs, or use "
                'form="grade"'
            )
    assert yes is not None  # noqa: S101 - as just checked
    assert no is not None  # noqa: S101
    return yes - no


def _tops(choice: dict[str, Any]) -> list[tuple[str, float]]:
    """Tokens and log-probabilities for the first place; not what can be none of the latter."""
    content = choice.get("logprobs")
    content = content.get("content") if isinstance(content, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    tops = first.get("top_logprobs") if isinstance(first, dict) else None
    return [
        (top["token"], float(top["logprob"]))
        for top in (tops if isinstance(tops, list) else [])
        if isinstance(top, dict)
        and isinstance(top.get("token"), str)
        and _is_log_probability(top.get("logprob"))
    ]


def _is_log_probability(value: object) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return _NONE < value <= _ROUNDING


def _total(tops: Sequence[tuple[str, float]], word: str) -> float | None:
    """ln of the summed probability of a word's spellings; None where there is none."""
    found = [logprob for token, logprob in tops if token.strip(_BLANKS).lower() == word]
    if not found:
        return None
    highest = max(found)
    return highest + math.log(sum(math.exp(one - highest) for one in found))
