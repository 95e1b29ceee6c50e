"""Prompts for whole searches: of mixed length, or with answers of mixed length."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from prelogit.text import encode
from prelogit.wire.jobs import PromptItem

_FOLDER = Path(__file__).with_name("prompts")
SHORTEST, LONGEST = 20, 400
_NOTES = (
    "The kitchen window faces east, so mornings are bright.",
    "My neighbour plays the piano on most evenings.",
    "Last year the garden gave us more tomatoes than we could eat.",
    "The bus to the station leaves every twenty minutes.",
    "I have two children, and both of them like to cook.",
    "We keep a small library of books about birds and trees.",
    "In winter the heating costs more than I would like.",
    "A friend of mine repairs old bicycles and gives them away.",
)


def mixed(count: int, tokenizer: Any, seed: int = 0) -> list[PromptItem]:
    """The held-out prompts and generated ones of 20 to 400 tokens, in no order of length.

    The same ones for the same seed. A generated prompt is a question behind as many notes as bring it to a drawn length.
    """
    held = _read("held_out")
    chance = random.Random(seed)
    prompts = held[:count]
    for place in range(len(prompts), count):
        target, text = chance.randint(SHORTEST, LONGEST), chance.choice(held).prompt or ""
        while len(encode(tokenizer, PromptItem(prompt=text))) < target:
            text = f"{chance.choice(_NOTES)} {text}"
        prompts.append(PromptItem(id=f"m{place}", prompt=text))
    chance.shuffle(prompts)
    return prompts


def unequal(count: int, seed: int = 0) -> list[PromptItem]:
    """Questions with brief answers and with long ones, as many of each, in no order."""
    found = [one for pair in zip(_read("brief"), _read("held_out"), strict=True) for one in pair]
    prompts = [
        PromptItem(id=f"{found[i % len(found)].id}-{i}", prompt=found[i % len(found)].prompt)
        for i in range(count)
    ]
    random.Random(seed).shuffle(prompts)
    return prompts


def _read(name: str) -> list[PromptItem]:
    lines = (_FOLDER / f"{name}.jsonl").read_text(encoding="utf-8").splitlines()
    return [PromptItem.model_validate_json(line) for line in lines]
