"""What a value file says of itself, and where it lies; without torch, so that the gateway can look.

A value has a name and a folder, PRELOGIT_HOME/values/NAME: ``states/`` holds what it is trained
on, ``value.safetensors`` the network.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from prelogit.core.errors import InputError
from prelogit.core.records import ModelRef
from prelogit.text import home_folder

NAME = r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
FILE = "value.safetensors"
KIND = "prelogit-value"
_LARGEST_HEADER = 16 * 2**20


class Epoch(BaseModel):
    """One pass over the training responses.

    loss: mean squared distance from the targets, per token, in standard deviations of the reward;
    held_out: of the prompts that were held out, from the reward itself (1: the mean does as well).
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    loss: float
    held_out: float


class ValueHeader(BaseModel):
    """What a value network is of: the model whose pre-logits it reads, and the reward it tells.

    width: of the hidden layers. layers: of weights. mean, std: of the rewards. states: a hash of
    what it was fitted to. fitting: how. prompts, responses: that were not held out. epoch: the
    one that was kept, from 1.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: ModelRef
    reward: ModelRef
    dim: int
    width: int
    layers: int = 3
    mean: float
    std: float
    states: str
    fitting: dict[str, float | int | None]
    prompts: int
    responses: int
    epoch: int
    curve: tuple[Epoch, ...]

    @property
    def explained(self) -> float:
        """R²: the share of the held-out rewards' variance that single pre-logits tell."""
        return 1.0 - self.curve[self.epoch - 1].held_out


def is_name(value: str) -> bool:
    """Whether it can be a value's name, so that it is no path."""
    return re.fullmatch(NAME, value) is not None


def values_folder(home: Path | str | None = None) -> Path:
    """Where all values lie."""
    return home_folder(home) / "values"


def value_folder(name: str, home: Path | str | None = None) -> Path:
    """The folder of one value.

    Raises: InputError: that is no name.
    """
    if not is_name(name):
        raise InputError(
            f"{name!r} is no name of a value: up to 100 letters, digits, dots, dashes and "
            "underscores, a letter or digit first",
            field="value",
        )
    return values_folder(home) / name


def value_file(value: str, home: Path | str | None = None, *, paths: bool = False) -> Path:
    """The file of a value.

    Args:   paths: whether ``value`` may also be the path of a file or of a value's folder.
    Raises: InputError: it is neither a name nor, where allowed, a path; or nothing is there.
    """
    if paths and not is_name(value):
        path = Path(value).expanduser()
        path = path / FILE if path.is_dir() else path
        if not path.is_file():
            raise InputError(f"there is no value file {value!r}: check the path", field="value")
        return path
    folder = value_folder(value, home)
    if (folder / FILE).is_file():
        return folder / FILE
    if paths and Path(value).is_file():
        return Path(value)
    known = value_names(home)
    told = f"there are {', '.join(known)}" if known else "none has been trained yet"
    cure = "`prelogit value train` makes it from its states"
    if not (folder / "states").is_dir():
        cure = "`prelogit value collect` and `prelogit value train` make one"
    raise InputError(f"there is no value {value!r}; {told}: {cure}", field="value")


def value_names(home: Path | str | None = None) -> list[str]:
    """The values that have been trained here."""
    return sorted(file.parent.name for file in values_folder(home).glob(f"*/{FILE}"))


def has_any_states(name: str, home: Path | str | None = None) -> bool:
    """Whether something was collected for a value."""
    return any((value_folder(name, home) / "states").glob("*.safetensors"))


def metadata(path: Path) -> dict[str, str]:
    """The metadata of a safetensors file; empty where it is none."""
    try:
        with path.open("rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if size > _LARGEST_HEADER:
                return {}
            head: Any = json.loads(file.read(size))
    except (OSError, ValueError, RecursionError):
        return {}
    found = head.get("__metadata__") if isinstance(head, dict) else None
    return found if isinstance(found, dict) else {}


def read_header(path: Path) -> ValueHeader:
    """What a value file says of itself.

    Raises: InputError: it is no value file.
    """
    try:
        return ValueHeader.model_validate_json(metadata(path)[KIND])
    except (KeyError, TypeError, ValidationError) as error:
        raise InputError(
            f"{path.name} is no value file of this version: `prelogit value train` makes one",
            field="value",
        ) from error


def check_model(header: ValueHeader, *, dim: int, model: ModelRef | None = None) -> None:
    """Compare a value with the model that is to be steered; ``model`` None: by the width alone.

    Raises: InputError: it is of another model.
    """
    mine = header.model
    cure = "load that model, or collect states of this one and train a value on them"
    if header.dim != dim:
        raise InputError(
            f"the value reads pre-logits of width {header.dim} (model {mine.name}), but the model's "
            f"are {dim} wide: {cure}",
            field="value",
        )
    if model is not None and mine.fingerprint != model.fingerprint:
        raise InputError(
            f"the value belongs to {mine.name} with fingerprint {mine.fingerprint}, but "
            f"{model.name} has {model.fingerprint} (weights and dtype count): {cure}",
            field="value",
        )
