"""Parameters of best of n."""

from __future__ import annotations

from typing import Literal

from prelogit.wire.params.drawn import Drawn


class BestOfN(Drawn):
    """Best of n independent samples, by nucleus sampling or by Gaussian pre-logit noise."""

    name: Literal["bon"] = "bon"
