"""Parameters of the methods: frozen, validated, with the JSON's names; a file for each method."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from prelogit.wire.params.aisp import AISP
from prelogit.wire.params.bon import BestOfN
from prelogit.wire.params.recontrol import CollectStates, REControl, TrainValue
from prelogit.wire.params.shared import Count, MethodParams, Positive, Share

__all__ = [
    "AISP",
    "BestOfN",
    "CollectStates",
    "Count",
    "MethodField",
    "MethodParams",
    "Params",
    "Positive",
    "REControl",
    "Share",
    "TrainValue",
]

Params = AISP | BestOfN | REControl | CollectStates | TrainValue
MethodField = Annotated[Params, Field(discriminator="name")]
