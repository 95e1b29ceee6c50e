"""The memory plan of a model before it is loaded: its weights are counted, not read."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import torch
from transformers import AutoConfig, AutoModelForCausalLM

from prelogit.core.build import build_of
from prelogit.core.errors import ModelError
from prelogit.core.memory import GB, MemoryPlan, footprint
from prelogit.engine.memory.device import sum_free, wanted_rows, weights_bytes
from prelogit.engine.place import find_device, find_dtype
from prelogit.text import home_folder, model_folder


def foresee(
    name: str,
    *,
    device: str = "auto",
    dtype: str = "auto",
    spread: bool = False,
    graphs: bool = True,
    max_rows: int | None = None,
    memory_gb: float | None = None,
    home: Path | str | None = None,
) -> MemoryPlan:
    """What ``load_model`` would plan, by the model's configuration and what is free now.

    Args:    spread: over all GPUs (a device map). graphs: steps are captured where they can be.
    Raises:  ModelError: device, dtype or configuration is none that can be used.
    """
    where = find_device(device)
    kind = find_dtype(dtype, where, home_folder(home))
    try:
        config = AutoConfig.from_pretrained(model_folder(name, home=home), trust_remote_code=False)
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            module: Any = AutoModelForCausalLM.from_config(
                config, dtype=kind, trust_remote_code=False
            )  # type: ignore[no-untyped-call]
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the model {name!r} has no configuration that can be read") from error
    build = build_of(config.get_text_config().to_dict())
    if build is None:
        raise ModelError(f"the configuration of {name!r} does not say how large its layers are")
    weights = weights_bytes(module)
    on_cpu = where.type == "cpu"
    if on_cpu and build.tied and kind in (torch.float32, torch.bfloat16):
        # Laid out for the processor, the output layer has no table in common with the embedding.
        weights += build.vocabulary * build.width * kind.itemsize
    devices = {where}
    if spread and torch.cuda.is_available():
        devices = {torch.device("cuda", index) for index in range(torch.cuda.device_count())}
    budget = int(memory_gb * GB) if memory_gb is not None else sum_free(devices)
    taken = footprint(
        build,
        str(kind).removeprefix("torch."),
        weights=weights,
        on_cpu=on_cpu,
        graphs=graphs and where.type == "cuda" and not spread,
    )
    return MemoryPlan(budget, taken, max_rows or wanted_rows(where))
