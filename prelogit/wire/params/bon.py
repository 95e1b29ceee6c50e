"""Parameters of best of n, as a method and as a baseline."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal

from pydantic import Field

from prelogit.wire.params.shared import Count, OneRound, Positive


class BestOfN(OneRound):
    """Best of n independent samples, by nucleus sampling or by Gaussian pre-logit noise."""

    DEFAULT_N: ClassVar[int] = 128

    name: Literal["bon"] = "bon"
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
    sigma2: Positive = Field(
        default=0.5,
        description="variance of the noise",
        json_schema_extra={"unit": "variance of one pre-logit coordinate"},
    )
    temperature: Positive = Field(default=0.6, description="of the softmax, applied before top_p")
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = Field(
        default=0.9, description="the smallest set of tokens with this much mass is drawn from"
    )
    batch_size: Count = Field(
        default=4,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )
