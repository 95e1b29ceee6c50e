"""What one hosted reward is: an entry of ``PRELOGIT_REWARDS``."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f/\\?#]+$")]
Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[int, Field(ge=3)]
Weight = Annotated[float, Field(allow_inf_nan=False)]
Dtype = Literal["auto", "float32", "bfloat16", "float16"]
Truncation = Literal["left", "right", "refuse"]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())


class LengthPenalty(_Strict):
    """Taken from the reward for each token or character of the response beyond ``free``."""

    weight: Annotated[float, Field(gt=0, allow_inf_nan=False)]
    free: Annotated[int, Field(ge=0)] = 0
    per: Literal["token", "character"] = "token"


class _Spec(_Strict):
    """One hosted reward; its ``name`` is what a job's ``reward.name`` picks."""

    name: Name
    description: Text | None = None
    length_penalty: Annotated[LengthPenalty | None, Field(repr=False)] = None


class Loaded(_Spec):
    """A reward with a model. pickle_weights: read weights that are not in safetensors, and may run
    code. trust_remote_code: run the code that the model brings."""

    pickle_weights: Annotated[bool, Field(repr=False)] = False
    trust_remote_code: Annotated[bool, Field(repr=False)] = False


class EmbeddingSpec(Loaded):
    """10 x cosine of sentence embeddings. model: None is the packaged all-MiniLM-L6-v2."""

    kind: Literal["embedding"]
    model: Text | None = None
    device: Text = "auto"
    dtype: Dtype = "float32"
    max_tokens: Tokens | None = None


class ClassifierSpec(Loaded):
    """The raw logit of a sequence classifier. label: which one, or ``{which: weight}``."""

    kind: Literal["classifier"]
    model: Text
    label: int | str | dict[str, Weight] | None = None
    device: Text = "auto"
    dtype: Dtype = "auto"
    max_tokens: Tokens | None = None
    truncation: Truncation = "left"
    chat_template: Text | None = None


class HeadSpec(Loaded):
    """A reward model with a head of its own: ``ultrarm``, ``eurus``, or ``module:Class``."""

    kind: Literal["head"]
    model: Text
    head: Text
    device: Text = "auto"
    dtype: Dtype = "auto"
    max_tokens: Tokens | None = None
    truncation: Truncation = "left"
    chat_template: Text | None = None


class FunctionSpec(_Spec):
    """A Python function ``(conversations, responses) -> list of floats``, as module:callable."""

    kind: Literal["function"]
    path: Text


class YesNoSpec(Loaded):
    """The logit of yes less that of no, by a language model that is asked about the response."""

    kind: Literal["yes-no"]
    model: Text
    question: Text | None = None
    yes: Text = "Yes"
    no: Text = "No"
    device: Text = "auto"
    dtype: Dtype = "auto"
    max_tokens: Tokens | None = None
    truncation: Truncation = "left"
    chat_template: Text | None = None


class SafetySpec(_Spec):
    """From 0 (offensive) to 1 (clean), by the package of the extra ``safety``."""

    kind: Literal["safety"]


class EnsembleSpec(_Spec):
    """The weighted sum of other rewards of the list, by their names."""

    kind: Literal["ensemble"]
    members: Annotated[dict[Name, Weight], Field(min_length=1)]
    normalize: Literal["none", "prompt"] = "none"


Spec = Annotated[
    EmbeddingSpec
    | ClassifierSpec
    | HeadSpec
    | YesNoSpec
    | SafetySpec
    | FunctionSpec
    | EnsembleSpec,
    Field(discriminator="kind"),
]
