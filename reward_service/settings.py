"""What the reward service reads from its environment: which rewards it hosts, and where."""

from __future__ import annotations

from difflib import get_close_matches
from typing import Annotated, Self

from pydantic import Field, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from prelogit.telemetry.lines import LogFormat
from prelogit.telemetry.tracing import Switch
from reward_service.specs import EmbeddingSpec, EnsembleSpec, Spec, Text


class RewardSettings(BaseSettings):
    """Settings of the process, from ``PRELOGIT_*`` variables or a ``.env`` file.

    reward_window_seconds: how long an idle model waits for requests to score together.
    reward_batch_items, reward_batch_characters: most responses scored together, and most text.
    reward_waiting_items: most responses that may wait for one model; more are turned away
    with 503. reward_cache_items: scores that are remembered; 0: none.
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
    reward_batch_characters: Annotated[int, Field(ge=1)] = 400_000
    reward_threads: Annotated[int, Field(ge=1)] | None = None
    reward_waiting_items: Annotated[int, Field(ge=1)] = 65_536
    reward_cache_items: Annotated[int, Field(ge=0)] = 100_000
    log_format: LogFormat = "text"
    otel: Switch = "off"

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        names = [spec.name for spec in self.rewards]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"the reward name {name!r} stands more than once: rename one")
        return self

    @model_validator(mode="after")
    def _members_are_hosted(self) -> Self:
        plain = [spec.name for spec in self.rewards if not isinstance(spec, EnsembleSpec)]
        for spec in self.rewards:
            for member in spec.members if isinstance(spec, EnsembleSpec) else ():
                if member not in plain:
                    near = get_close_matches(member, plain, n=1)
                    hint = f"did you mean {near[0]!r}? " if near else ""
                    raise ValueError(
                        f"the ensemble {spec.name!r} has the member {member!r}, which is no other "
                        f"reward of the list: {hint}name one of {', '.join(plain) or '(none)'}, but "
                        "no ensemble"
                    )
        return self
