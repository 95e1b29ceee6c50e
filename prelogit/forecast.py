"""What decoding will take with the settings of this environment, before anything is loaded."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from prelogit.core.errors import LaunchError
from prelogit.core.memory import MemoryPlan
from prelogit.text import EMBEDDED, model_folder


class _Settings(BaseSettings):
    """What the workers are told of memory."""

    model_config = SettingsConfigDict(
        env_prefix="PRELOGIT_",
        env_file=".env",
        extra="ignore",
        env_ignore_empty=True,
        hide_input_in_errors=True,
    )

    dtype: str = "auto"
    max_rows: Annotated[int, Field(ge=1)] | None = None
    memory_gb: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = None
    device_map: str | None = None
    graphs: str = "auto"
    tensor_parallel: int = 1


def forecast(model: str, *, device: str, home: Path) -> MemoryPlan | None:
    """The memory plan that a worker would come to now; None: the embedded model is not prepared.

    Raises: ImportError: torch cannot be loaded. ModelError: device or model is none.
            LaunchError: a setting is none; names the variable.
    """
    try:
        told = _Settings()
    except ValidationError as error:
        first = error.errors(include_input=False)[0]
        raise LaunchError(f"PRELOGIT_{str(first['loc'][0]).upper()}: {first['msg']}") from error
    if model == EMBEDDED and not (Path(model_folder(model, home=home)) / "config.json").is_file():
        return None
    from prelogit.engine.memory.foresee import foresee  # imports torch

    return foresee(
        model,
        device=device,
        dtype=told.dtype,
        spread=told.device_map is not None,
        graphs=told.graphs != "off" and told.tensor_parallel == 1,
        max_rows=told.max_rows,
        memory_gb=told.memory_gb,
        home=home,
    )
