"""Parameters of ARGS."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from prelogit.wire.params.shared import Count, OneRound, Positive


class ARGS(OneRound):
    """Reward-guided search: each token is picked by its log-probability plus the weighted reward of
    the text with it (arXiv 2402.01694)."""

    name: Literal["args"] = "args"
    mode: Literal["greedy", "stochastic"] = Field(
        default="greedy",
        description='"greedy" takes the candidate of the best score, "stochastic" draws one from '
        "the softmax of score / temperature",
    )
    n: Count = Field(
        default=1,
        description="independent paths, of which the best by its reward is the answer; more than "
        "one for stochastic alone",
        json_schema_extra={"unit": "samples"},
    )
    k: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10,
        description="candidates a step, the most likely tokens; the text with each is scored",
        json_schema_extra={"unit": "tokens"},
    )
    weight: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=1.5,
        description="w, of the reward in a candidate's score; 0 leaves the model as it is",
        json_schema_extra={"unit": "nats for one unit of the reward"},
    )
    temperature: Positive = Field(default=0.7, description="of the softmax over the scores")
    batch_size: Count = Field(
        default=16,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )

    @model_validator(mode="after")
    def _paths_differ(self) -> Self:
        if self.n > 1 and self.mode == "greedy":
            raise ValueError(
                f"all {self.n} paths would be the same, for the best candidate is taken: give "
                'mode "stochastic", or leave n out'
            )
        return self
