"""What a worker can be told from outside: environment variables named ``PRELOGIT_*``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from prelogit.core.device_map import DeviceMap, read_device_map
from prelogit.core.errors import ModelError
from prelogit.rewards.allowed import RewardKeys, RewardUrls
from prelogit.rewards.allowed_tokenizers import RewardTokenizers
from prelogit.telemetry.lines import LogFormat
from prelogit.telemetry.tracing import Switch

QUEUE_SCHEMES = ("redis", "rediss", "redis+socket", "sentinel")
Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class Settings(BaseSettings):
    """Settings of a worker process; times are in seconds.

    pickle_weights, trust_remote_code: models whose weights may be pickled, and that may bring code.
    max_rows: most samples decoded at the same time, None leaves it to the device.
    memory_gb: what may be used, in 10^9 bytes and with the weights, None for what is free.
    device_map: spreads the model over devices; ``device`` has no say then.
    tensor_parallel: how many GPUs share each layer, from ``device`` on.
    reward_urls: beginnings of the URLs of reward servers that jobs may name; reward_keys: which keys
    go to which of them, and where they are kept.
    reward_tokenizers: ids and folders of the tokenizers that jobs may name for such servers.
    reward_probe: a job's reward is probed before its first round.
    coherence: measured of each answer, where the packaged sentence embeddings are installed.
    nll: of each answer under the model itself; measured too.
    lease_seconds: a prompt whose worker is silent for so long is given to another one.
    metrics_port: where Prometheus may read this worker's metrics, at ``metrics_host``; None: nowhere.
    stop_wait_seconds: how long a worker that is told to stop, or whose job was cancelled, goes on
    waiting for rewards that were asked for already.
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
    model: Annotated[str, Field(min_length=1)] = "smollm2-135m"
    pickle_weights: tuple[str, ...] = ()
    trust_remote_code: tuple[str, ...] = ()
    device: str = "auto"
    dtype: str = "auto"
    attention: Literal["auto", "shared", "sdpa", "eager"] = "auto"
    graphs: Literal["auto", "off"] = "auto"
    max_rows: Annotated[int, Field(ge=1)] | None = None
    memory_gb: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    device_map: DeviceMap | None = None
    tensor_parallel: Annotated[int, Field(ge=1)] = 1

    reward_timeout_seconds: Seconds = 60.0
    reward_patience_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 300.0
    lease_seconds: Seconds = 30.0
    reward_probe: Literal["on", "off"] = "on"
    coherence: bool = True
    nll: bool = True
    stop_wait_seconds: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 5.0
    metrics_port: Annotated[int, Field(ge=1, le=65535)] | None = None
    metrics_host: Annotated[str, Field(min_length=1)] = "127.0.0.1"
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR", "CRITICAL"] = "INFO"
    log_format: LogFormat = "text"
    otel: Switch = "off"

    @field_validator("home")
    @classmethod
    def _expand(cls, home: Path) -> Path:
        return home.expanduser()

    @field_validator("device_map", mode="before")
    @classmethod
    def _is_a_map(cls, told: object) -> DeviceMap | None:
        try:
            return None if told is None else read_device_map(told)
        except ModelError as error:
            raise ValueError(str(error)) from error

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("redis_url")
    @classmethod
    def _scheme_is_known(cls, url: str) -> str:
        # Celery takes "redis+unix://" without a word and then talks to localhost:6379.
        if url.split("://", 1)[0] not in QUEUE_SCHEMES:
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

    @property
    def store_url(self) -> str:
        """The database: what was set, else a SQLite file in the home folder."""
        return self.database_url or f"sqlite:///{self.home / 'prelogit.db'}"
