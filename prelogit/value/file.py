"""Store a value network as safetensors, and read it back for the model it belongs to."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from prelogit.core.errors import InputError
from prelogit.core.records import ModelRef
from prelogit.value.header import KIND, ValueHeader, check_model, read_header, value_file
from prelogit.value.network import ValueNet

_TENSORS = ("first", "first_bias", "second", "second_bias", "third", "third_bias")


def save_value(path: Path, net: ValueNet, header: ValueHeader) -> None:
    """Write it aside and rename it, so that a reader never meets half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    tensors = {name: getattr(net, name).contiguous() for name in _TENSORS}
    save_file(tensors, aside, {KIND: header.model_dump_json()})
    aside.rename(path)


def read_value(path: Path) -> tuple[ValueNet, ValueHeader]:
    """The network and what its file says of it.

    Raises: InputError: it is no value file.
    """
    header = read_header(path)
    try:
        tensors = load_file(path)
        floats: Any = {name: tensors[name].float() for name in _TENSORS}
        net = ValueNet(**floats, mean=header.mean, std=header.std, explained=header.explained)
        whole = (net.width, net.dim) == (header.width, header.dim)
    except (SafetensorError, KeyError, IndexError) as error:
        raise InputError(f"the value file {path.name} is broken: train it again") from error
    if not whole:
        raise InputError(f"the value file {path.name} is broken: train it again", field="value")
    return net, header


def load_value(
    value: str,
    *,
    model: ModelRef,
    dim: int,
    home: Path | str | None = None,
    paths: bool = False,
) -> ValueNet:
    """The network of a value, for this model.

    Args:   value: its name, or where ``paths`` allows it the path of its file.
    Raises: InputError: there is none, it is no value file, or it is of another model.
    """
    net, header = read_value(value_file(value, home, paths=paths))
    check_model(header, dim=dim, model=model)
    return net
