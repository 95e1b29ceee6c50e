"""Parameters of n independent samples from the model itself: what best of n and its soft form share."""

from __future__ import annotations

from typing import ClassVar, Literal

from pydantic import Field

from prelogit.wire.params.shared import Count, OneRound, Positive, TopP


class Drawn(OneRound):
    """n independent samples, by nucleus sampling or by Gaussian pre-logit noise."""

    DEFAULT_N: ClassVar[int] = 128

    n: Count | None = Field(
        default=None,
        description="samples; null: as many as the method that a baseline is compared with, 128 "
        "when it is the method itself",
        json_schema_extra={"unit": "samples"},
    )
    noise: Literal["gaussian"] | None = Field(
        default=None,
        description='null draws tokens with temperature and top_p; "gaussian" adds N(0, sigma2 I) '
        "to the pre-logits and decodes greedily",
    )
    sigma2: Positive | Literal["auto"] = Field(
        default=0.5,
        description='variance of the Gaussian noise; "auto": the one that changes 30% of the model\'s '
        "most likely tokens",
        json_schema_extra={"unit": "variance of one pre-logit coordinate"},
    )
    temperature: Positive = Field(default=0.6, description="of the softmax, applied before top_p")
    top_p: TopP = Field(
        default=0.9, description="the smallest set of tokens with this much mass is drawn from"
    )
    batch_size: Count = Field(
        default=4,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )
