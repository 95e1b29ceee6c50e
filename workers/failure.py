"""From an exception out of a search to what is said about it, without stack, path or prompt."""

from __future__ import annotations

import traceback
from pathlib import Path
from typing import NamedTuple

import torch

from prelogit.core.errors import DeviceError, PrelogitError
from prelogit.engine.memory.device import ran_out


class Failure(NamedTuple):
    """``reason`` is for the user, ``where`` for the log; ``broken``: the device is of no more use."""

    reason: str
    where: str
    broken: bool


def explain(error: Exception) -> Failure:
    """What a failed search says. The exception itself is not kept: its frames hold tensors."""
    name = type(error).__name__
    if isinstance(error, PrelogitError):
        return Failure(str(error), "", isinstance(error, DeviceError))
    if ran_out(error):
        reason = (
            f"the model's device ran out of memory on this prompt alone ({name}): lower the "
            "method's n, max_new_tokens or the prompt's length, or start the worker with a lower "
            "PRELOGIT_MEMORY_GB or PRELOGIT_MAX_ROWS"
        )
        return Failure(reason, _where(error), False)
    if isinstance(error, torch.AcceleratorError):
        reason = f"the model's device failed on this prompt ({name}): retry the job"
        return Failure(reason, _where(error), True)
    reason = f"the search failed on this prompt ({name}): the worker's log says where"
    return Failure(reason, _where(error), False)


def _where(error: Exception) -> str:
    """The last frame as ``file:line function``; the message stays out, it may quote a prompt."""
    frames = traceback.extract_tb(error.__traceback__)
    if not frames:
        return "nowhere"
    last = frames[-1]
    return f"{Path(last.filename).name}:{last.lineno} {last.name}"
