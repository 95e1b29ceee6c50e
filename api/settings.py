"""What the gateway can be told from outside: environment variables named ``PRELOGIT_*``."""

from __future__ import annotations

from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from api.headers import HostNames, Origins
from prelogit.egress.signing import SigningSecrets
from prelogit.egress.urls import LOOPBACK_HOSTS, AllowedUrls
from prelogit.rewards.allowed import RewardKeys, RewardUrls
from prelogit.rewards.allowed_tokenizers import RewardTokenizers
from prelogit.telemetry.lines import LogFormat
from prelogit.telemetry.tracing import Switch
from prelogit.wire.models import ModelNames, offered_models

QUEUE_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel")


class Settings(BaseSettings):
    """Settings of the gateway process. Times are in seconds, sizes in bytes.

    models: what jobs can name, None: ``model`` alone. Without ``model``, its first is the default.
    api_keys_required: None: unless the gateway listens to this machine alone.
    docs_open: the API's own pages are there without a key too.
    health_token: opens ``/health/ready`` and ``/metrics`` in place of a key.
    reward_urls: beginnings of the URLs of reward servers that jobs may name; reward_keys: which keys
    go to which of them.
    reward_tokenizers: ids and folders of the tokenizers that jobs may name for such servers.
    cors_origins: of pages that may read answers; allowed_hosts: names that are answered to, none: any.
    hsts_seconds: how long browsers are to use https alone, None: not told.
    retention_days, candidates_retention_days: how long jobs are kept after their end, and their candidates.
    webhook_urls: beginnings of the URLs that jobs may have told; webhook_secrets: what signs it, by name.
    webhook_timeout_seconds: of one post; webhook_hours: how long after an event it is tried.
    max_body_bytes: of a JSON body; max_stream_bytes: of a job that comes as lines.
    max_samples: most candidates of one prompt, for the method and for each baseline.
    max_rows, memory_gb, device, dtype: as the workers have them; here they only enter the estimate.
    outbox_seconds: how often the outbox is looked into without being told to.
    reconcile_seconds: how often lost wake-ups are looked for; resend_seconds: how old a
    wake-up that nobody followed must be to be sent again.
    heartbeat_seconds: after so long without an event a stream shows that it lives.
    poll_seconds: how often streams and waiting requests look into the store, at first.
    worker_silence_seconds: a worker that was not heard of for so long counts as gone.
    reward_listing_seconds: how long the reward service may take to list its rewards.
    shutdown_seconds: how long open requests may go on once the process is asked to end.
    """

    model_config = SettingsConfigDict(
        env_prefix="PRELOGIT_", env_file=".env", extra="ignore", hide_input_in_errors=True
    )

    home: Path = Path("~/.prelogit")
    database_url: Annotated[str, Field(repr=False)] = ""
    redis_url: Annotated[str, Field(repr=False)] = "redis://127.0.0.1:6379/0"
    reward_url: str = "http://127.0.0.1:8100"
    reward_urls: RewardUrls = ()
    reward_keys: RewardKeys = {}
    reward_tokenizers: RewardTokenizers = ()
    cors_origins: Origins = ()
    allowed_hosts: HostNames = ()
    hsts_seconds: Annotated[int, Field(ge=0)] | None = None
    retention_days: Annotated[float, Field(gt=0, le=36500)] | None = None
    candidates_retention_days: Annotated[float, Field(gt=0, le=36500)] | None = None
    webhook_urls: AllowedUrls = ("*",)
    webhook_secrets: SigningSecrets = {}
    webhook_timeout_seconds: Annotated[float, Field(gt=0, le=300)] = 10.0
    webhook_hours: Annotated[float, Field(gt=0, le=24 * 30)] = 24.0
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    api_keys_required: bool | None = None
    docs_open: bool = False
    health_token: SecretStr | None = None
    model: Annotated[str, Field(min_length=1)] = "smollm2-135m"
    models: ModelNames = None
    device: str = "auto"
    dtype: str = "auto"

    max_body_bytes: Annotated[int, Field(ge=1024)] = 8 * 1024 * 1024
    max_stream_bytes: Annotated[int, Field(ge=1024)] = 256 * 1024 * 1024
    max_prompts: Annotated[int, Field(ge=1)] = 100_000
    max_new_tokens: Annotated[int, Field(ge=1)] = 1024
    max_samples: Annotated[int, Field(ge=1)] = 4096
    max_rows: Annotated[int, Field(ge=1)] | None = None
    memory_gb: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None

    outbox_seconds: Annotated[float, Field(gt=0)] = 1.0
    reconcile_seconds: Annotated[float, Field(gt=0)] = 5.0
    resend_seconds: Annotated[float, Field(ge=0)] = 15.0
    heartbeat_seconds: Annotated[float, Field(gt=0)] = 15.0
    poll_seconds: Annotated[float, Field(gt=0)] = 0.25
    worker_silence_seconds: Annotated[float, Field(gt=0)] = 60.0
    reward_listing_seconds: Annotated[float, Field(gt=0)] = 2.0
    shutdown_seconds: Annotated[int, Field(ge=1)] = 10
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: LogFormat = "text"
    otel: Switch = "off"

    @field_validator("home")
    @classmethod
    def _expand(cls, home: Path) -> Path:
        return home.expanduser()

    @field_validator("api_keys_required", "health_token", mode="before")
    @classmethod
    def _blank_is_unset(cls, told: object) -> object:
        return None if told == "" else told

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("redis_url")
    @classmethod
    def _scheme_is_known(cls, url: str) -> str:
        # Celery takes "redis+unix://" without a word and then talks to localhost:6379.
        scheme = url.split("://", 1)[0]
        if scheme not in QUEUE_SCHEMES:
            raise ValueError(
                f"PRELOGIT_REDIS_URL must begin with one of {', '.join(QUEUE_SCHEMES)}; a unix "
                "socket is redis+socket://:password@/absolute/path?virtual_host=0"
            )
        return url

    @field_validator("reward_url")
    @classmethod
    def _http(cls, url: str) -> str:
        if not url.startswith(("http://", "https://")):
            raise ValueError("PRELOGIT_REWARD_URL must begin with http:// or https://")
        return url.rstrip("/")

    @model_validator(mode="after")
    def _first_is_default(self) -> Self:
        if self.models and "model" not in self.model_fields_set:
            self.model = self.models[0]
        return self

    @property
    def keys_required(self) -> bool:
        """Whether nobody comes in without a key."""
        if self.api_keys_required is None:
            return not listens_here_alone(self.host)
        return self.api_keys_required

    @property
    def offered(self) -> tuple[str, ...]:
        """The models that jobs can name; ``model`` is that of jobs that name none."""
        return offered_models(self.model, self.models)

    @property
    def store_url(self) -> str:
        """The database: what was set, else a SQLite file in the home folder."""
        return self.database_url or f"sqlite:///{self.home / 'prelogit.db'}"


def listens_here_alone(host: str) -> bool:
    """Whether only this machine reaches a server that listens on that address."""
    if host in LOOPBACK_HOSTS:
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
