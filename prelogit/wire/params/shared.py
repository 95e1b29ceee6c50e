"""What the parameters of all methods share."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import BaseModel, ConfigDict, Field

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]
TopP = Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)]


class MethodParams(BaseModel):
    """What all methods share: strict types, no unknown fields, no change after creation."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, serialize_by_alias=True
    )

    name: str


class OneRound(MethodParams):
    """What methods of a single round share: all their samples are drawn at once."""

    DEFAULT_N: ClassVar[int] = 1  # samples of a method that has no n, or none given

    @property
    def samples(self) -> int:
        """Candidates that are scored."""
        return int(getattr(self, "n", None) or self.DEFAULT_N)

    @property
    def rounds(self) -> int:
        """Rows of the trace."""
        return 1
