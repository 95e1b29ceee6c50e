"""The reward of the chaos run: as good as any, and slow enough to be disturbed."""

from __future__ import annotations

import os
import time

PAUSE = "CHAOS_REWARD_SECONDS"


def slow(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """``quick`` after a pause, so that faults meet searches that are under way."""
    time.sleep(float(os.environ.get(PAUSE, "0")))
    return quick(conversations, responses)


def quick(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """The share of vowels, and a little for variety."""
    return [
        sum(c in "aeiou" for c in text) / (1 + len(text)) + 0.01 * len(set(text))
        for text in responses
    ]
