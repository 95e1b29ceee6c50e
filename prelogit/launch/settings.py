"""What ``prelogit up`` can be told from outside: environment variables named ``PRELOGIT_*``.

The children read the rest of those variables themselves.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Self

from pydantic import Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from prelogit.core.errors import LaunchError
from prelogit.rewards.allowed import RewardUrls
from prelogit.rewards.allowed_tokenizers import RewardTokenizers
from prelogit.telemetry.lines import LogFormat
from prelogit.text import EMBEDDED
from prelogit.wire.models import ModelNames, offered_models

Port = Annotated[int, Field(ge=0, le=65535)]


class UpSettings(BaseSettings):
    """Settings of the supervisor. A URL that is set means: use that, and start none.

    health_token: None makes one for each run. workers: how many for each model. metrics_port: of the first worker's metrics, the others have the
    next ones; None: none are served. models: None means ``model`` alone; without ``model`` the
    first of them is the default.
    """

    model_config = SettingsConfigDict(
        env_prefix="PRELOGIT_",
        env_file=".env",
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    home: Path = Path("~/.prelogit")
    host: str = "127.0.0.1"
    port: Port = 8000
    health_token: SecretStr | None = None
    reward_port: Port = 8100
    model: Annotated[str, Field(min_length=1)] = EMBEDDED
    models: ModelNames = None
    device: str = "auto"
    database_url: Annotated[str | None, Field(repr=False)] = None
    redis_url: Annotated[str | None, Field(repr=False)] = None
    reward_url: str | None = None
    reward_urls: RewardUrls | None = None
    reward_tokenizers: RewardTokenizers | None = None
    workers: Annotated[int, Field(ge=1, le=64)] = 1
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    log_format: LogFormat = "text"

    @field_validator("home")
    @classmethod
    def _expand(cls, home: Path) -> Path:
        return home.expanduser().absolute()

    @model_validator(mode="after")
    def _first_is_default(self) -> Self:
        if self.models and "model" not in self.model_fields_set:
            self.model = self.models[0]
        return self

    @property
    def offered(self) -> tuple[str, ...]:
        """The models that jobs can name; ``model`` is that of jobs that name none."""
        return offered_models(self.model, self.models)


def up_settings(**given: Any) -> UpSettings:
    """Settings from the environment and ``.env``; what is given (and not None) comes first.

    Raises: LaunchError: names the variable and what is allowed.
    """
    try:
        return UpSettings(**{name: value for name, value in given.items() if value is not None})
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        name = "_".join(str(part) for part in first["loc"])
        raise LaunchError(f"PRELOGIT_{name.upper()}: {first['msg']}") from error
