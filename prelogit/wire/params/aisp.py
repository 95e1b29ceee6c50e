"""Parameters of AISP. ``lambda`` is a Python keyword, so the attribute is ``lambda_``; both work."""

from __future__ import annotations

from typing import Any, ClassVar, Literal, Self

from pydantic import Field, model_validator

from prelogit.wire.params.shared import Count, MethodParams, Positive, Share


class AISP(MethodParams):
    """Adaptive importance sampling on pre-logits (arXiv 2510.26219, Algorithm 1)."""

    PAPER: ClassVar[dict[str, Any]] = {"n": 32, "iterations": 32, "lambda": 0.3}

    name: Literal["aisp"] = "aisp"
    preset: Literal["paper"] | None = Field(
        default=None,
        description='"paper" is Algorithm 1 to the letter: fixed variance, n and iterations 32, '
        "lambda a number (0.3)",
    )
    n: Count = Field(
        default=16, description="samples an iteration", json_schema_extra={"unit": "samples"}
    )
    iterations: Count = Field(
        default=8,
        description="kappa, updates of the mean; one more round of n is drawn from the final "
        "mean, so samples = n * (iterations + 1)",
        json_schema_extra={"unit": "iterations"},
    )
    lambda_: Positive | Literal["auto"] = Field(
        default="auto",
        alias="lambda",
        description='temperature of the weights, or "auto": at each round the one whose '
        "effective sample size is 0.3 n",
        json_schema_extra={"unit": "units of the reward"},
    )
    sigma2: Positive = Field(
        default=0.5,
        description="variance of the noise",
        json_schema_extra={"unit": "variance of one pre-logit coordinate"},
    )
    alpha: Share = Field(default=0.9999, description="relaxation of the prior")
    variance: Literal["preserve", "fixed"] = Field(
        default="preserve",
        description='"preserve" keeps the mean\'s and the noise\'s shares of one budget, "fixed" '
        "is the published update",
    )
    window: Count | None = Field(
        default=None,
        description="tau, how many tokens are controlled; null: all of them",
        json_schema_extra={"unit": "tokens"},
    )
    batch_size: Count = Field(
        default=4,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )

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
