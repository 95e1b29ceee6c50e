"""Parameters of plain sampling."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from prelogit.wire.params.shared import Count, OneRound, Positive, TopP


class Sample(OneRound):
    """Plain samples of the model: all are scored, and the first is the answer whatever its reward."""

    name: Literal["sample"] = "sample"
    n: Count | None = Field(
        default=None,
        description="samples; null: as many as the method that a baseline is compared with, 1 "
        "when it is the method itself",
        json_schema_extra={"unit": "samples"},
    )
    temperature: Positive = Field(default=1.0, description="of the softmax, applied before top_p")
    top_p: TopP = Field(
        default=1.0, description="the smallest set of tokens with this much mass is drawn from"
    )
    batch_size: Count = Field(
        default=4,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )
