"""Parameters of the methods: frozen, validated, with the JSON's names.

``lambda`` is a Python keyword, so the attribute is ``lambda_``; both names are accepted.
"""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0, lt=1, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1, le=1_000_000)]


class MethodParams(BaseModel):
    """What all methods share: strict types, no unknown fields, no change after creation."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", strict=True, populate_by_name=True, serialize_by_alias=True
    )


class AISP(MethodParams):
    """Adaptive importance sampling on pre-logits (arXiv 2510.26219, Algorithm 1).

    n: samples an iteration. iterations: kappa, updates of the mean; one more round of n is
    drawn from the final mean, so ``samples = n * (iterations + 1)``. lambda_: temperature of
    the weights in units of the reward, or "auto": at each round the one whose effective
    sample size is 0.3 n. sigma2: variance of the noise per pre-logit coordinate. alpha:
    relaxation of the prior. variance: "preserve" keeps the mean's and the noise's shares
    of one budget, "fixed" is the published update. window: tau, the number of controlled
    tokens, None for all. batch_size: b, prompts decoded together.
    """

    PAPER: ClassVar[dict[str, Any]] = {"n": 32, "iterations": 32, "lambda": 0.3}

    name: Literal["aisp"] = "aisp"
    preset: Literal["paper"] | None = None
    n: Count = 16
    iterations: Count = 8
    lambda_: Positive | Literal["auto"] = Field(default="auto", alias="lambda")
    sigma2: Positive = 0.5
    alpha: Share = 0.9999
    variance: Literal["preserve", "fixed"] = "preserve"
    window: Count | None = None
    batch_size: Count = 4

    @model_validator(mode="before")
    @classmethod
    def _fill_in_the_paper(cls, data: Any) -> Any:
        if not isinstance(data, dict) or data.get("preset") != "paper":
            return data
        filled = {**cls.PAPER, "variance": "fixed"}
        if "lambda_" in data:
            filled.pop("lambda")
        return {**filled, **data}

    @model_validator(mode="after")
    def _hold_the_paper(self) -> Self:
        if self.preset == "paper" and (self.variance != "fixed" or self.lambda_ == "auto"):
            raise ValueError(
                'preset "paper" is Algorithm 1 to the letter: variance must be "fixed" and lambda a '
                "number; leave both out, or leave the preset out"
            )
        return self

    @classmethod
    def paper(cls, **changes: Any) -> AISP:
        """Algorithm 1 to the letter: fixed variance, a number for lambda."""
        return cls.model_validate({"preset": "paper", **changes})

    @property
    def samples(self) -> int:
        """Candidates that are scored, the final draw included."""
        return self.n * (self.iterations + 1)

    @property
    def rounds(self) -> int:
        """Rows of the trace."""
        return self.iterations + 1


class BestOfN(MethodParams):
    """Best of n independent samples, by nucleus sampling or by Gaussian pre-logit noise.

    n: samples; None in a job means as many as the method it is compared with (128 when it
    is the method itself). noise: None draws tokens with ``temperature`` and ``top_p``;
    "gaussian" adds N(0, sigma2 I) to the pre-logits and decodes greedily.
    """

    name: Literal["bon"] = "bon"
    n: Count | None = None
    noise: Literal["gaussian"] | None = None
    sigma2: Positive = 0.5
    temperature: Positive = 0.6
    top_p: Annotated[float, Field(gt=0, le=1, allow_inf_nan=False)] = 0.9
    batch_size: Count = 4

    DEFAULT_N: ClassVar[int] = 128

    @property
    def samples(self) -> int:
        """Candidates that are scored."""
        return self.n if self.n is not None else self.DEFAULT_N

    @property
    def rounds(self) -> int:
        """Rows of the trace."""
        return 1


Params = AISP | BestOfN
MethodField = Annotated[AISP | BestOfN, Field(discriminator="name")]
