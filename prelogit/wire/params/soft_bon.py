"""Parameters of soft best of n. ``lambda`` is a Python keyword, so the attribute is ``lambda_``."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from prelogit.wire.params.drawn import Drawn
from prelogit.wire.params.shared import Positive


class SoftBestOfN(Drawn):
    """One of n independent samples, drawn with probability softmax(reward / lambda)."""

    name: Literal["soft_bon"] = "soft_bon"
    lambda_: Positive | Literal["auto"] = Field(
        default="auto",
        alias="lambda",
        description='temperature of the draw, or "auto": the one whose effective sample size is '
        "0.3 n; towards 0 it is best of n",
        json_schema_extra={"unit": "units of the reward"},
    )
