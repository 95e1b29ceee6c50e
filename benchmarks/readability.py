"""A reward without a model: Flesch's reading ease, a tenth of it. ``benchmarks.readability:ease``."""

from __future__ import annotations

import re

_WORD = re.compile(r"[A-Za-z']+")
_SENTENCE = re.compile(r"[.!?]+")
_VOWELS = re.compile(r"[aeiouy]+")


def ease(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """Of each response, from 0 to 12; 0 for a text without words.

    Source: Flesch, 1948: 206.835 - 1.015 words/sentences - 84.6 syllables/words.
    """
    return [_ease(text) for text in responses]


def _ease(text: str) -> float:
    words = _WORD.findall(text.lower())
    if not words:
        return 0.0
    sentences = max(1, len(_SENTENCE.findall(text)))
    syllables = sum(max(1, len(_VOWELS.findall(word))) for word in words)
    found = 206.835 - 1.015 * len(words) / sentences - 84.6 * syllables / len(words)
    return min(max(found, 0.0), 120.0) / 10
