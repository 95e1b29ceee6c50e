"""What the reward service reads from its environment: which rewards it hosts, and where."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

Name = Annotated[str, Field(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f/\\?#]+$")]
Text = Annotated[str, Field(min_length=1)]
Tokens = Annotated[int, Field(ge=3)]


class _Spec(BaseModel):
    """One hosted reward; its ``name`` is what a job's ``reward.name`` picks."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, protected_namespaces=())

    name: Name
    description: Text | None = None


class EmbeddingSpec(_Spec):
    """10 x cosine of sentence embeddings. model: None is the packaged all-MiniLM-L6-v2."""

    kind: Literal["embedding"]
    model: Text | None = None
    device: Text = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "float32"
    max_tokens: Tokens | None = None


class ClassifierSpec(_Spec):
    """The raw logit of a sequence classifier. label: which one, where it has several."""

    kind: Literal["classifier"]
    model: Text
    label: int | str | None = None
    device: Text = "auto"
    dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"
    max_tokens: Tokens | None = None
    chat_template: Text | None = None


class FunctionSpec(_Spec):
    """A Python function ``(conversations, responses) -> list of floats``, as module:callable."""

    kind: Literal["function"]
    path: Text


Spec = Annotated[EmbeddingSpec | ClassifierSpec | FunctionSpec, Field(discriminator="kind")]


class RewardSettings(BaseSettings):
    """Settings of the process, from ``PRELOGIT_*`` variables or a ``.env`` file.

    reward_window_seconds: how long an idle model waits for requests to score together.
    reward_batch_items: most responses scored together. reward_waiting_items: most responses
    that may wait for one model; more are turned away with 503.
    """

    model_config = SettingsConfigDict(
        env_prefix="PRELOGIT_", env_file=".env", extra="ignore", frozen=True
    )

    rewards: Annotated[tuple[Spec, ...], Field(min_length=1)] = (
        EmbeddingSpec(name="relevance", kind="embedding"),
    )
    reward_host: Text = "127.0.0.1"
    reward_port: Annotated[int, Field(ge=0, le=65535)] = 8100
    reward_max_body_bytes: Annotated[int, Field(ge=1024)] = 32 * 1024 * 1024
    reward_window_seconds: Annotated[float, Field(ge=0, le=10, allow_inf_nan=False)] = 0.005
    reward_batch_items: Annotated[int, Field(ge=1)] = 256
    reward_threads: Annotated[int, Field(ge=1)] | None = None
    reward_waiting_items: Annotated[int, Field(ge=1)] = 65_536

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [spec.name for spec in self.rewards]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the reward name {name!r} stands more than once: rename one")
        return self
