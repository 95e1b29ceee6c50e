"""Two rewards without a model, unlike ``relevance`` in kind and in scale, to steer a search by.

``benchmarks.steering_rewards:flesch`` looks at letters alone and is about 0 to 120, a text of short words and
sentences up to 200. ``benchmarks.steering_rewards:sentiment`` counts words that people feel about; it is
about -5 to 5, with a long tail.
"""

from __future__ import annotations

import math
import re
from functools import cache
from typing import Any

_WORD = re.compile(r"[A-Za-z']+")
_SENTENCE = re.compile(r"[.!?]+")
_VOWELS = re.compile(r"[aeiouy]+")
_NO_WORD = -100.0
_EDGE = 0.9999  # VADER's compound score comes no nearer to one


def flesch(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """Flesch's reading ease of each response; -100 for a text without words.

    Source: Flesch, 1948: 206.835 - 1.015 words/sentences - 84.6 syllables/words; a final e that
    stands alone is silent.
    """
    return [_flesch(text) for text in responses]


def sentiment(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """VADER's sum of each response's word valences, over sqrt(15): c / sqrt(1 - c²) of its compound score c.

    Source: Hutto and Gilbert, 2014; c = s / sqrt(s² + 15) for the sum s.
    """
    analyzer = _analyzer()
    found = []
    for text in responses:
        compound = max(-_EDGE, min(_EDGE, analyzer.polarity_scores(text)["compound"]))
        found.append(compound / math.sqrt(1 - compound * compound))
    return found


def _flesch(text: str) -> float:
    words = _WORD.findall(text)
    if not words:
        return _NO_WORD
    sentences = max(1, len(_SENTENCE.findall(text)))
    syllables = sum(map(_syllables, words))
    return 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)


def _syllables(word: str) -> int:
    low = word.lower()
    count = len(_VOWELS.findall(low))
    if low.endswith("e") and count > 1 and not low.endswith("le"):
        count -= 1
    return max(1, count)


@cache
def _analyzer() -> Any:
    from vaderSentiment.vaderSentiment import SentimentIntensityAnalyzer

    return SentimentIntensityAnalyzer()
