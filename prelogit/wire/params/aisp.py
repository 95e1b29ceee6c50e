"""Parameters of AISP. ``lambda`` is a Python keyword, so the attribute is ``lambda_``; both work."""

from __future__ import annotations

from typing import Annotated, Any, ClassVar, Literal, Self

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
        description="kappa, updates of the proposal; one more round of n is drawn from the final "
        "one, so samples = n * (iterations + 1)",
        json_schema_extra={"unit": "iterations"},
    )
    lambda_: Positive | Literal["auto"] = Field(
        default="auto",
        alias="lambda",
        description='temperature of the weights, or "auto": at each round the one whose '
        "effective sample size is 0.3 n, or 3 texts of the rewards alone",
        json_schema_extra={"unit": "units of the reward"},
    )
    proposal: Literal["texts", "mean"] = Field(
        default="texts",
        description='"texts": each sample is made from one of the best texts so far; "mean": all '
        "from one mean of the noise, as published. Taken as mean where variance, horizon or a "
        "number for sigma2 is given",
    )
    sigma2: Positive | Literal["auto"] = Field(
        default="auto",
        description='variance of the noise; "auto" with proposal "texts": at each token what '
        'sampling at the temperature would give. With a mean 0.5 where it is not given; "auto": the one '
        "that changes 30% of the model's most likely tokens",
        json_schema_extra={"unit": "variance of one pre-logit coordinate"},
    )
    alpha: Share | Literal["auto"] = Field(
        default="auto",
        description="relaxation of the prior: near 1 it has no say in the weights, less keeps the search nearer "
        'to the model; "auto" with proposal "texts": 1 - 3.2 / T for T tokens, at '
        'least 0.5, and 1 - 102.4 / T^2 beyond 32; with "mean" 0.9999',
    )
    variance: Literal["preserve", "fixed"] | None = Field(
        default=None,
        description='with proposal "mean": "preserve" keeps the mean\'s and the noise\'s shares of '
        'one budget, "fixed" is the published update',
    )
    temperature: Positive = Field(
        default=0.8, description='of the noise with proposal "texts", as of sampling'
    )
    heat: Annotated[float, Field(ge=1, le=4, allow_inf_nan=False)] = Field(
        default=1.25,
        description='with proposal "texts": half of the first samples have this times the temperature, '
        "and what is made of a text has the text's own; 1: all have the same",
    )
    top_p: Share = Field(
        default=0.95,
        description='with proposal "texts": mass of the most likely tokens that noise may choose from',
    )
    window: Count | None = Field(
        default=None,
        description="tau, how many tokens are controlled; null: all of them",
        json_schema_extra={"unit": "tokens"},
    )
    horizon: Count | None = Field(
        default=None,
        description='with proposal "mean": how many tokens are searched at a time; what comes before is '
        "frozen as the best sample has it, and round by round the window moves on to the end (MPPI); "
        "null: all that are controlled",
        json_schema_extra={"unit": "tokens"},
    )
    batch_size: Count = Field(
        default=4,
        description="b, prompts decoded together; more of them while rows are free",
        json_schema_extra={"unit": "prompts"},
    )

    @model_validator(mode="before")
    @classmethod
    def _fill_in(cls, data: Any) -> Any:
        if not isinstance(data, dict):
            return data
        filled: dict[str, Any] = {}
        if data.get("preset") == "paper":
            filled = {**cls.PAPER, "variance": "fixed"}
            if "lambda_" in data:
                filled.pop("lambda")
        given = {**filled, **data}
        if "proposal" not in given:
            named = any(given.get(name) is not None for name in ("variance", "horizon"))
            moved = named or given.get("sigma2", "auto") != "auto"
            given["proposal"] = "mean" if moved else "texts"
        if given["proposal"] == "mean":
            given = {"sigma2": 0.5, "variance": "preserve"} | given
            if given.get("alpha", "auto") == "auto":
                given["alpha"] = 0.9999
        return given

    @model_validator(mode="after")
    def _fit_together(self) -> Self:
        paper = self.variance == "fixed" and self.lambda_ != "auto" and self.proposal == "mean"
        if self.preset == "paper" and not paper:
            raise ValueError(
                'preset "paper" is Algorithm 1 to the letter: proposal must be "mean", variance '
                '"fixed" and lambda a number; leave them out, or leave the preset out'
            )
        named = self.variance is not None or self.horizon is not None
        if self.proposal == "texts" and (named or self.sigma2 != "auto"):
            raise ValueError(
                'variance, horizon, and a number for sigma2, go with proposal "mean": leave them out, '
                "or the proposal"
            )
        if self.proposal == "mean" and self.variance is None:
            raise ValueError(
                'with proposal "mean" variance is "preserve" or "fixed": leave it out for preserve'
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
