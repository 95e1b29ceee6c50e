"""Prompts of mixed length: the held-out ones, and generated ones of 20 to 400 tokens."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

from prelogit.text import encode
from prelogit.wire.jobs import PromptItem

HELD_OUT = Path(__file__).with_name("prompts") / "held_out.jsonl"
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
    """That many prompts in no order of length; the same ones for the same seed.

    A generated prompt is a question behind as many notes as bring it to a drawn length.
    """
    held = [json.loads(line) for line in HELD_OUT.read_text(encoding="utf-8").splitlines()]
    chance = random.Random(seed)
    prompts = [PromptItem(id=one["id"], prompt=one["prompt"]) for one in held[:count]]
    for place in range(len(prompts), count):
        target, text = chance.randint(SHORTEST, LONGEST), chance.choice(held)["prompt"]
        while len(encode(tokenizer, PromptItem(prompt=text))) < target:
            text = f"{chance.choice(_NOTES)} {text}"
        prompts.append(PromptItem(id=f"m{place}", prompt=text))
    chance.shuffle(prompts)
    return prompts
