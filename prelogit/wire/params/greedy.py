"""Parameters of greedy decoding."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from prelogit.wire.params.shared import Count, OneRound


class Greedy(OneRound):
    """The model's greedy answer: the most likely token at each step."""

    name: Literal["greedy"] = "greedy"
    batch_size: Count = Field(
        default=16,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )
