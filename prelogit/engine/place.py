"""Where a model lives and in what numbers it computes, from what the settings say."""

from __future__ import annotations

from pathlib import Path

import torch

from prelogit.core.device_map import DeviceMap, read_device_map
from prelogit.core.errors import ModelError
from prelogit.engine.faster import faster_dtype

_DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}


def find_device(device: str) -> torch.device:
    """The device of a setting; "auto" is a GPU where there is one.

    Raises: ModelError: there is no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        where = torch.device(device)
    except RuntimeError as error:
        raise ModelError(f"device {device!r} is none: use auto, cpu, cuda or cuda:N") from error
    if where.type == "cuda" and (where.index or 0) >= torch.cuda.device_count():
        raise ModelError(
            f"device {device!r} is not there: this machine shows {torch.cuda.device_count()} CUDA "
            "devices; use device cpu or auto"
        )
    return where


def find_dtype(dtype: str, device: torch.device, home: Path) -> torch.dtype:
    """The numbers of a setting on this device; "auto" is what decodes faster.

    Raises: ModelError: there is no such setting.
    """
    if dtype == "auto":
        return faster_dtype(home) if device.type == "cpu" else torch.bfloat16
    if dtype not in _DTYPES:
        raise ModelError(f"dtype {dtype!r} is none: use auto, {', '.join(_DTYPES)}")
    return _DTYPES[dtype]


def find_device_map(told: DeviceMap) -> DeviceMap:
    """The device map of a setting, with devices that are there.

    Raises: ModelError: it is none, or names a device that this machine has not.
    """
    found = read_device_map(told)
    for place in found.values() if isinstance(found, dict) else ():
        if place != "disk":
            find_device(f"cuda:{place}" if isinstance(place, int) else place)
    return found
