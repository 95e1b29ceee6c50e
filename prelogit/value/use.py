"""What a job's method needs of values: a network to decode with, or a folder for states."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from torch import Tensor

from prelogit.core.errors import InputError
from prelogit.core.records import ModelRef
from prelogit.value.file import load_value
from prelogit.value.fit import Fitting
from prelogit.value.header import value_folder
from prelogit.value.network import ValueNet
from prelogit.value.states import Source, has_states, packed_states, text_hash, write_states
from prelogit.value.train import trained_value
from prelogit.wire.jobs import JobRequest
from prelogit.wire.params import CollectStates, Params, REControl, TrainValue


class Values(NamedTuple):
    """Where values lie (None: PRELOGIT_HOME), and whether one may be named by its path too."""

    home: Path | str | None = None
    paths: bool = False


def net_for(
    method: Params,
    values: Values,
    *,
    model: ModelRef,
    dim: int,
    seed: int = 0,
    field: str = "method",
) -> ValueNet | None:
    """The network that the method names, trained first where it says so; None where it names none.

    Args:   seed: of the training. field: where the method stands in its job.
    Raises: InputError: there is no such value, it is of another model, or it cannot be trained.
    """
    if not isinstance(method, REControl | TrainValue):
        return None
    try:
        if isinstance(method, TrainValue):
            trained_value(method.value, _fitting(method, seed), home=values.home)
        return load_value(method.value, model=model, dim=dim, home=values.home, paths=values.paths)
    except InputError as error:
        raise InputError(str(error), field=f"{field}.value") from error


def _fitting(method: TrainValue, seed: int) -> Fitting:
    return Fitting(
        epochs=method.epochs,
        patience=method.patience,
        learning_rate=method.training_rate,
        weight_decay=method.weight_decay,
        decay=method.decay,
        width=method.width,
        held_out=method.held_out,
        seed=seed,
    )


class Recorder(NamedTuple):
    """Stores what is collected, prompt by prompt."""

    folder: Path
    source: Source  # without a reward

    def has(self, prompt: str, token_ids: Sequence[int]) -> bool:
        """Whether the states of a prompt are there already.

        Raises: InputError: others are there.
        """
        return has_states(self.folder, prompt, self.source, text_hash(token_ids))

    def keep(
        self,
        prompt: str,
        token_ids: Sequence[int],
        *,
        hidden: Tensor,
        length: Tensor,
        rewards: Tensor,
        reward: ModelRef,
    ) -> None:
        """Store a prompt's states.

        Args:   hidden: [n, T, d]. length: i32[n]. rewards: f64[n]. reward: who scored.
        Raises: InputError: the folder has states of another reward, model or way of sampling.
        """
        states = packed_states(prompt, hidden, length, rewards)
        source = self.source.model_copy(update={"reward": reward})
        write_states(self.folder, states, source, text_hash(token_ids))


def recorder_for(
    request: JobRequest, values: Values, *, model: ModelRef, dim: int
) -> Recorder | None:
    """Where the job's states go; None where its method collects none."""
    method = request.method
    if not isinstance(method, CollectStates):
        return None
    source = Source(
        model=model,
        dim=dim,
        n=method.n,
        temperature=method.temperature,
        top_p=method.top_p,
        max_new_tokens=request.max_new_tokens,
        seed=request.seed,
        template=request.template,
    )
    return Recorder(value_folder(method.value, values.home), source)
