"""The states that a value is trained on: a safetensors file for each prompt.

A file holds the pre-logits of all responses of its prompt one after the other, how many each
response has, and the responses' rewards.

Dimensions: n responses of a prompt, N pre-logits of all of them, d width of the pre-logits.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from pydantic import BaseModel, ConfigDict, ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from prelogit.core.errors import InputError
from prelogit.core.records import ModelRef
from prelogit.value.header import metadata

KIND = "prelogit-states"
_FOLDER = "states"


class Source(BaseModel):
    """What states are of; all of one value must agree in this. reward: None before the first score."""

    model_config = ConfigDict(frozen=True, extra="forbid", protected_namespaces=())

    model: ModelRef
    dim: int
    n: int
    temperature: float
    top_p: float
    max_new_tokens: int
    seed: int
    template: str = "chat"
    reward: ModelRef | None = None


class States(NamedTuple):
    """All responses of one prompt."""

    prompt: str  # its id
    hidden: Tensor  # f32[N, d]
    length: Tensor  # i64[n], sums to N
    rewards: Tensor  # f64[n]


class _Header(BaseModel):
    prompt: str
    text: str  # a hash of what was asked
    source: Source


def shard(folder: Path, prompt: str) -> Path:
    """Where the states of a prompt lie; an id may hold what a file name may not."""
    name = hashlib.sha256(prompt.encode()).hexdigest()[:16]
    return folder / _FOLDER / f"{name}.safetensors"


def text_hash(token_ids: Sequence[int]) -> str:
    """Names what was asked: the same tokens, the same hash."""
    return hashlib.sha256(repr(list(token_ids)).encode()).hexdigest()[:16]


def write_states(folder: Path, states: States, source: Source, text: str) -> None:
    """Store a prompt's states whole or not at all, in 16 bits where they fit.

    Args:   folder: the value's. states: hidden in any dtype. text: ``text_hash`` of the prompt.
    Raises: InputError: the folder has states of another source.
    """
    path = shard(folder, states.prompt)
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = next((one for one in path.parent.glob("*.safetensors") if one != path), None)
    if beside is not None:
        _compare(folder, _header(beside).source, source)
    half = states.hidden.half()
    tensors = {
        "hidden": half if bool(half.isfinite().all()) else states.hidden.float(),
        "length": states.length,
        "rewards": states.rewards,
    }
    header = _Header(prompt=states.prompt, text=text, source=source)
    aside = path.with_name(f".{path.name}.{os.getpid()}.part")
    save_file(tensors, aside, {KIND: header.model_dump_json()})
    aside.rename(path)


def has_states(folder: Path, prompt: str, source: Source, text: str) -> bool:
    """Whether a prompt's states are there already, so that a collection can go on.

    Args:   source: without a reward, which is known only when it has scored.
    Raises: InputError: what is there is of another model, prompt or way of sampling.
    """
    path = shard(folder, prompt)
    if not path.is_file():
        return False
    there = _header(path)
    _compare(folder, there.source.model_copy(update={"reward": None}), source)
    if there.text != text:
        raise InputError(
            f"the value {folder.name!r} has states of another text under the prompt id {prompt!r}: "
            "give the prompt another id, or collect under another name",
            field="value",
        )
    return True


def _compare(folder: Path, there: Source, given: Source) -> None:
    apart = [
        f"{name} {_said(getattr(there, name))}, not {_said(getattr(given, name))}"
        for name in Source.model_fields
        if getattr(there, name) != getattr(given, name)
    ]
    if apart:
        raise InputError(
            f"the value {folder.name!r} has states of {'; '.join(apart)}: ask the same again, or "
            "collect under another name",
            field="value",
        )


def _said(value: object) -> str:
    return f"{value.name} ({value.fingerprint})" if isinstance(value, ModelRef) else repr(value)


def read_states(folder: Path) -> tuple[list[States], Source]:
    """All states of a value, by prompt id, and what they are of.

    Raises: InputError: there are none, one is broken, or they are not of one source.
    """
    paths = sorted((folder / _FOLDER).glob("*.safetensors"))
    if not paths:
        raise InputError(
            f"the value {folder.name!r} has no states: `prelogit value collect` makes them",
            field="value",
        )
    found: list[States] = []
    source: Source | None = None
    for path in paths:
        header = _header(path)
        if source is not None and header.source != source:
            raise InputError(
                f"the states of {folder.name!r} are not all of one model, reward and way of "
                f"sampling (see {path.name}): collect again under another name",
                field="value",
            )
        source = header.source
        try:
            tensors = load_file(path)
            states = States(
                header.prompt,
                tensors["hidden"].float(),
                tensors["length"].long(),
                tensors["rewards"].double(),
            )
        except (SafetensorError, KeyError) as error:
            raise _broken(path) from error
        if int(states.length.sum()) != len(states.hidden):
            raise _broken(path)
        found.append(states)
    assert source is not None  # noqa: S101 - there is at least one path
    return sorted(found, key=lambda states: states.prompt), source


def states_hash(states: Sequence[States]) -> str:
    """Names what a value is fitted to: the same responses and rewards, the same hash."""
    digest = hashlib.sha256()
    for one in states:
        digest.update(repr((one.prompt, one.length.tolist(), one.rewards.tolist())).encode())
        digest.update(one.hidden[:, :8].numpy().tobytes())
    return digest.hexdigest()[:16]


def packed_states(prompt: str, hidden: Tensor, length: Tensor, rewards: Tensor) -> States:
    """From rollouts: hidden [n, T, d] and length [n]; what follows an end is left out."""
    parts = [rows[:count] for rows, count in zip(hidden, length.tolist(), strict=True)]
    return States(prompt, torch.cat(parts), length.long(), rewards)


def _header(path: Path) -> _Header:
    try:
        return _Header.model_validate_json(metadata(path)[KIND])
    except (KeyError, TypeError, ValidationError) as error:
        raise _broken(path) from error


def _broken(path: Path) -> InputError:
    return InputError(
        f"the states {path.name} cannot be read: delete the file and collect again", field="value"
    )
