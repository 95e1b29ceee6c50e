"""Load one model in several processes, each with its part, and make this one their leader."""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, NoReturn

import torch
from transformers.distributed import DistributedConfig  # type: ignore[attr-defined]

from prelogit.core.errors import ModelError
from prelogit.engine.tensor_parallel.followers import local_environment
from prelogit.engine.tensor_parallel.mirror import LeadDecoder, LeadHead, follow
from prelogit.engine.tensor_parallel.team import Team, check_plan, join


def load_split(
    name: str,
    folder: str,
    size: int,
    device: torch.device,
    call: dict[str, Any],
    load: Callable[[dict[str, Any]], Any],
) -> Any:
    """The model as its leader sees it. In the other processes this ends the process instead.

    Args:    call: the arguments of ``load_model``. load: reads the model, given what
             ``from_pretrained`` needs to split it.
    Raises:  ModelError: it cannot be split so, or a process failed.
    """
    try:
        check_plan(folder, size)
    except (OSError, ValueError, KeyError) as error:
        raise ModelError(f"the model {name!r} has no configuration that can be read") from error
    started = "RANK" in os.environ  # by torchrun, or as a follower
    with nullcontext() if started else local_environment(device.index or 0):
        team = join(size, device, call)
        with team.together():
            model = load({"distributed_config": DistributedConfig(tp_size=size)})
            team.agree(f"{model.attention} {model.fingerprint}")
    if team.rank:
        _serve(team, model)
    atexit.register(team.close)
    return replace(
        model,
        decoder=LeadDecoder(model.decoder, team),
        head=LeadHead(model.head, team),
        team=team,
    )


def _serve(team: Team, model: Any) -> NoReturn:
    follow(team, model.decoder, model.head)
    team.close()
    raise SystemExit(0)


def check_size(size: int, device_map: object) -> None:
    """Raises: ModelError: no number of processes, or the model is spread another way already."""
    if size < 1:
        raise ModelError("tensor_parallel must be at least 1")
    if size > 1 and device_map is not None:
        raise ModelError(
            "device_map and tensor_parallel are two ways to spread one model: set one of them"
        )
