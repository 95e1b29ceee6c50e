"""Align LLM answers at test time: AISP as a library and as a job service.

Names are loaded when they are first used, so that ``import prelogit`` needs no torch.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import version as _version
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prelogit import noise
    from prelogit.align import align
    from prelogit.client import AsyncClient, Client
    from prelogit.collecting import collect_states
    from prelogit.core import errors, records
    from prelogit.engine.load import load_model
    from prelogit.rewards.load import load_reward
    from prelogit.value.train import train_value
    from prelogit.wire.params import (
        AISP,
        ARGS,
        BestOfN,
        CollectStates,
        Greedy,
        REControl,
        Sample,
        SoftBestOfN,
        TrainValue,
    )

__version__ = _version("prelogit")

# Before torch is loaded: its threads spin while they wait for one another, and where another
# process wants the core (the reward service beside the worker) every step stalls at each layer;
# measured, a decode step of 0.4 s took 3.6 s. Sleeping threads cost next to nothing.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

__all__ = [
    "AISP",
    "ARGS",
    "AsyncClient",
    "BestOfN",
    "Client",
    "CollectStates",
    "Greedy",
    "REControl",
    "Sample",
    "SoftBestOfN",
    "TrainValue",
    "__version__",
    "align",
    "collect_states",
    "errors",
    "load_model",
    "load_reward",
    "noise",
    "records",
    "train_value",
]

# Name -> the module that holds it; None: the name is that module itself.
_HOME: dict[str, tuple[str, str | None]] = {
    "AISP": ("prelogit.wire.params", "AISP"),
    "ARGS": ("prelogit.wire.params", "ARGS"),
    "AsyncClient": ("prelogit.client", "AsyncClient"),
    "BestOfN": ("prelogit.wire.params", "BestOfN"),
    "Client": ("prelogit.client", "Client"),
    "CollectStates": ("prelogit.wire.params", "CollectStates"),
    "Greedy": ("prelogit.wire.params", "Greedy"),
    "REControl": ("prelogit.wire.params", "REControl"),
    "Sample": ("prelogit.wire.params", "Sample"),
    "SoftBestOfN": ("prelogit.wire.params", "SoftBestOfN"),
    "TrainValue": ("prelogit.wire.params", "TrainValue"),
    "align": ("prelogit.align", "align"),
    "collect_states": ("prelogit.collecting", "collect_states"),
    "errors": ("prelogit.core.errors", None),
    "load_model": ("prelogit.engine.load", "load_model"),
    "load_reward": ("prelogit.rewards.load", "load_reward"),
    "noise": ("prelogit.noise", None),
    "records": ("prelogit.core.records", None),
    "train_value": ("prelogit.value.train", "train_value"),
}


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'prelogit' has no attribute {name!r}")
    module, attribute = _HOME[name]
    loaded = import_module(module)
    value = loaded if attribute is None else getattr(loaded, attribute)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(__all__))


class _Package(ModuleType):
    """Keeps ``prelogit.align`` the function, also after somebody has imported the module of that name."""

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "align" and isinstance(value, ModuleType):
            value = value.align
        super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package
