"""The reward service's own protocol: ``POST /v1/score``."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

from prelogit.wire.jobs import Message

# JSON has lists only: strict would refuse them as tuples, at each depth of its own.
Conversation = Annotated[tuple[Message, ...], Field(strict=False)]


class ScoreRequest(BaseModel):
    """Conversations with one response each; ``reward`` picks one of the hosted rewards.

    ``conversations[i]`` is the conversation before ``responses[i]``.
    """

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    reward: Annotated[str, Field(min_length=1)] | None = None
    conversations: Annotated[tuple[Conversation, ...], Field(min_length=1, strict=False)]
    responses: Annotated[tuple[str, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _same_length(self) -> ScoreRequest:
        if len(self.conversations) != len(self.responses):
            raise ValueError(
                f"{len(self.conversations)} conversations but {len(self.responses)} responses: "
                "give one response for each conversation"
            )
        return self


class ScoreResponse(BaseModel):
    """One finite float for each conversation, in the order of the request."""

    scores: list[float]
    reward: str | None = None
    fingerprint: str | None = None
    tokens: int = 0
    truncated: list[bool] | None = None


class RewardInfo(BaseModel):
    """A hosted reward as ``GET /v1/rewards`` of the reward service lists it."""

    name: str
    kind: str
    description: str
    fingerprint: str | None = None
    low: float | None = None
    high: float | None = None
