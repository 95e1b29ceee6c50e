"""Parameters of RE-Control's three steps: collect states, train a value network, decode on it."""

from __future__ import annotations

from typing import Annotated, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prelogit.wire.params.shared import Count, OneRound, Positive, Share, TopP

Steps = Annotated[int, Field(ge=0, le=1000)]
# A value that is written has a name; so no path comes in with a job.
ValueName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$")]


class REControl(OneRound):
    """Each step's pre-logit climbs a trained value network before the token is picked."""

    name: Literal["recontrol"] = "recontrol"
    value: Annotated[str, Field(min_length=1, max_length=1000)] = Field(
        description="name of the trained value network; the library also takes its file's path"
    )
    learning_rate: Positive = Field(
        default=0.5,
        description="how far a pre-logit moves along the gradient of the standardised value, a step",
    )
    steps: Steps = Field(
        default=30,
        description="gradient steps for each token; 0 leaves the model as it is",
        json_schema_extra={"unit": "steps"},
    )
    n: Count = Field(
        default=1,
        description="samples; more than one makes sense with a temperature",
        json_schema_extra={"unit": "samples"},
    )
    temperature: Positive | None = Field(
        default=None, description="of the softmax; null picks the most likely token"
    )
    top_p: TopP = Field(
        default=0.9,
        description="with a temperature: the smallest set of tokens with this much mass is drawn from",
    )
    batch_size: Count = Field(
        default=16,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )

    @model_validator(mode="after")
    def _samples_differ(self) -> Self:
        if self.n > 1 and self.temperature is None:
            raise ValueError(
                f"all {self.n} samples would be the same, for the most likely token is picked: "
                "give a temperature, or leave n out"
            )
        return self


class CollectStates(OneRound):
    """Best of n by top-p, whose pre-logits and rewards are kept to train a value network on."""

    name: Literal["collect"] = "collect"
    value: ValueName = Field(description="name of the value network that is to be trained on them")
    n: Count = Field(default=8, description="samples", json_schema_extra={"unit": "samples"})
    temperature: Positive = Field(default=0.7, description="of the softmax, applied before top_p")
    top_p: TopP = Field(
        default=0.95, description="the smallest set of tokens with this much mass is drawn from"
    )
    batch_size: Count = Field(
        default=4,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )


class TrainValue(OneRound):
    """Trains a value network on collected states, then decodes the job's prompts on it by RE-Control."""

    name: Literal["train"] = "train"
    value: ValueName = Field(description="name of the value network, whose states were collected")
    epochs: Count = Field(default=100, description="most passes over the responses")
    patience: Count = Field(
        default=10,
        description="training ends after so many epochs without a smaller held-out error",
    )
    training_rate: Positive = Field(default=0.001, description="learning rate of AdamW")
    weight_decay: Annotated[float, Field(ge=0, allow_inf_nan=False)] = Field(
        default=0.01, description="of AdamW"
    )
    decay: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1.0,
        description="1 fits each pre-logit to the reward, 0 to the value of the next, as the paper does",
    )
    width: Count | None = Field(
        default=None, description="of the hidden layers; null: that of the pre-logits"
    )
    held_out: Share = Field(default=0.2, description="share of the collected prompts held out")
    learning_rate: Positive = Field(default=0.5, description="of decoding, as RE-Control's")
    steps: Steps = Field(default=30, description="of decoding, as RE-Control's")
    batch_size: Count = Field(
        default=16,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )

    temperature: ClassVar[None] = None
    top_p: ClassVar[float] = 1.0
