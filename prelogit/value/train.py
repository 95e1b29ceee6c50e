"""Train a value on the states and rewards that were collected, and store it beside them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import torch

from prelogit.core.errors import InputError
from prelogit.value.file import save_value
from prelogit.value.fit import Fitting, OnEpoch, Response, fit
from prelogit.value.header import FILE, ValueHeader, read_header, value_folder
from prelogit.value.states import States, read_states, states_hash


class Trained(NamedTuple):
    """A trained value: its file, and what the file says of it."""

    path: Path
    header: ValueHeader


def train_value(
    name: str,
    *,
    home: Path | str | None = None,
    fitting: Fitting | None = None,
    on_epoch: OnEpoch = lambda number, epoch: None,
) -> Trained:
    """Train the value of this name on its states, and store it beside them.

    Args:   on_epoch: told number (from 1) and errors of every epoch.
    Raises: InputError: no states, fewer than two prompts, rewards that all tie, or settings out
            of range.
    Source: arXiv 2406.05954, section 4.2.
    """
    fitting = fitting or Fitting()
    _check(fitting)
    folder = value_folder(name, home)
    states, source = read_states(folder)
    learn, test = _split(states, fitting)
    rewards = torch.cat([one.rewards for one in learn])
    mean, std = float(rewards.mean()), float(rewards.std(correction=0))
    if std == 0.0:
        raise InputError(
            f"all {len(rewards)} rewards of {name!r} tie at {mean:g}, so there is nothing to learn: "
            "collect more samples, or under a reward that tells them apart",
            field="value",
        )
    fitted = fit(
        list(_responses(learn, mean, std)), list(_responses(test, mean, std)), fitting, on_epoch
    )
    net = replace(fitted.net, mean=mean, std=std)
    assert source.reward is not None  # noqa: S101 - every stored source has one
    header = ValueHeader(
        model=source.model,
        reward=source.reward,
        dim=net.dim,
        width=net.width,
        mean=mean,
        std=std,
        states=states_hash(states),
        fitting=fitting._asdict(),
        prompts=len(learn),
        responses=len(rewards),
        epoch=fitted.best,
        curve=fitted.curve,
    )
    save_value(folder / FILE, net, header)
    return Trained(folder / FILE, header)


def trained_value(name: str, fitting: Fitting, *, home: Path | str | None = None) -> Trained:
    """The value as it is where it was trained so on these very states; else it is trained now.

    Raises: InputError: as ``train_value`` does.
    """
    folder = value_folder(name, home)
    if (folder / FILE).is_file():
        header = read_header(folder / FILE)
        states, _ = read_states(folder)
        if (header.states, header.fitting) == (states_hash(states), fitting._asdict()):
            return Trained(folder / FILE, header)
    return train_value(name, home=home, fitting=fitting)


def _check(fitting: Fitting) -> None:
    ranges = {
        "epochs": fitting.epochs >= 1,
        "patience": fitting.patience >= 1,
        "learning_rate": fitting.learning_rate > 0,
        "weight_decay": fitting.weight_decay >= 0,
        "decay": 0 <= fitting.decay <= 1,
        "width": fitting.width is None or fitting.width >= 1,
        "held_out": 0 < fitting.held_out < 1,
        "batch": fitting.batch >= 1,
    }
    for name, well in ranges.items():
        if not well:
            raise InputError(f"{name} {getattr(fitting, name)} is out of range", field=name)


def _split(states: Sequence[States], fitting: Fitting) -> tuple[list[States], list[States]]:
    """By prompts: responses of one prompt are too much alike to be held out beside each other."""
    if len(states) < 2:
        raise InputError(
            "states of two prompts at least are needed, one of them to be held out: collect more",
            field="value",
        )
    order = torch.randperm(len(states), generator=torch.Generator().manual_seed(fitting.seed))
    count = min(len(states) - 1, max(1, round(fitting.held_out * len(states))))
    return (
        [states[i] for i in order[count:].tolist()],
        [states[i] for i in order[:count].tolist()],
    )


def _responses(states: Sequence[States], mean: float, std: float) -> Iterator[Response]:
    for one in states:
        parts = torch.split(one.hidden, one.length.tolist())
        for hidden, reward in zip(parts, one.rewards.tolist(), strict=True):
            yield Response(hidden, (reward - mean) / std)
