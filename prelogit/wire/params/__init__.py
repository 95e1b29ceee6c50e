"""Parameters of the methods: frozen, validated, with the JSON's names; a file for each method."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from prelogit.wire.params.aisp import AISP
from prelogit.wire.params.args import ARGS
from prelogit.wire.params.bon import BestOfN
from prelogit.wire.params.drawn import Drawn
from prelogit.wire.params.greedy import Greedy
from prelogit.wire.params.recontrol import CollectStates, REControl, TrainValue
from prelogit.wire.params.sample import Sample
from prelogit.wire.params.shared import Count, MethodParams, Positive, Share
from prelogit.wire.params.soft_bon import SoftBestOfN

__all__ = [
    "AISP",
    "ARGS",
    "Baseline",
    "BaselineField",
    "BestOfN",
    "CollectStates",
    "Count",
    "Drawn",
    "Greedy",
    "MethodField",
    "MethodParams",
    "Params",
    "Positive",
    "REControl",
    "Sample",
    "Share",
    "SoftBestOfN",
    "TrainValue",
]

# Methods of one round, which may stand beside another to be compared with it.
Baseline = BestOfN | SoftBestOfN | Greedy | Sample | ARGS | REControl
Params = AISP | Baseline | CollectStates | TrainValue
MethodField = Annotated[Params, Field(discriminator="name")]
BaselineField = Annotated[Baseline, Field(discriminator="name")]
