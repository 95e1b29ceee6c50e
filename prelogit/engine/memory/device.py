"""The memory of the device that a loaded model is on, and what the model takes of it."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from prelogit.core.build import build_of
from prelogit.core.errors import ModelError
from prelogit.core.memory import (
    GB,
    ROWS,
    Footprint,
    MemoryPlan,
    footprint,
    short_of_memory,
)
from prelogit.engine.decoder import Decoder
from prelogit.engine.graphs.graph import GraphDecoder
from prelogit.engine.packed import PackedLinear
from prelogit.engine.spread import output_device

MIB = 2**20
# Left alone: on CPU for the other processes, on a GPU for what its libraries keep and for holes.
_CPU_RESERVE, _CPU_SHARE = 256 * MIB, 0.1
_GPU_RESERVE, _GPU_SHARE = 512 * MIB, 0.05
# What oneDNN says when memory ends inside of it; with more words it means something else.
_ONEDNN = ("could not create a primitive", "could not create a memory object")
_NO_MEMORY = ("can't allocate memory", "not enough memory", "out of memory", "ALLOC_FAILED")


def plan_memory(
    module: Any,
    decoder: Decoder,
    *,
    shared: bool,
    max_rows: int | None = None,
    memory_gb: float | None = None,
) -> MemoryPlan:
    """The plan of a loaded model.

    Args:    max_rows: most rows; None: 128 on CPU, 256 elsewhere. memory_gb: what may be used,
             in 10^9 bytes, the weights included; None: these and what is free.
    Raises:  ModelError: a number is none, or not even two rows of a short prompt would fit.
    """
    if max_rows is not None and max_rows < 1:
        raise ModelError("max_rows must be at least 1")
    if memory_gb is not None and not memory_gb > 0:
        raise ModelError("memory_gb must be more than 0: leave it out to use what is free")
    weights = weights_bytes(module)
    taken = measure(module, decoder, weights=weights, shared=shared)
    if memory_gb is not None:
        budget: int | None = int(memory_gb * GB)
    else:
        free = sum_free(devices_of(module))
        budget = None if free is None else weights + free
    wanted = max_rows or wanted_rows(output_device(module))
    plan = MemoryPlan(budget, taken, wanted)
    if plan.max_rows < min(2, wanted):
        raise ModelError(short_of_memory(plan))
    return plan


def wanted_rows(device: torch.device) -> int:
    """Rows decoded together when nothing is set."""
    return ROWS["cpu" if device.type == "cpu" else "other"]


def measure(module: Any, decoder: Decoder, *, weights: int, shared: bool) -> Footprint:
    """A loaded model's footprint; keys and values of a token are measured, not computed.

    A model that keeps fewer of them (shared between layers, or split over devices) or whose
    configuration does not tell is thus counted as it is.
    """
    config = module.config.get_text_config().to_dict()
    build = build_of(config)
    if build is None:
        raise ModelError(
            f"the configuration of {type(module).__name__} does not say how large its layers are "
            "(hidden_size, num_hidden_layers, num_attention_heads, vocab_size), so that its memory "
            "cannot be planned: choose another model"
        )
    dtype = str(module.dtype).removeprefix("torch.")
    return footprint(
        build,
        dtype,
        weights=weights,
        on_cpu=output_device(module).type == "cpu",
        shared=shared,
        graphs=isinstance(decoder, GraphDecoder),
        token=_token_bytes(decoder),
    )


@torch.inference_mode()
def _token_bytes(decoder: Decoder) -> int:
    ids = [1, 2, 3, 4]
    return decoder.prefill(ids).nbytes // len(ids)


def weights_bytes(module: Any) -> int:
    """Bytes of all parameters and buffers, those in common counted once; packed layers too."""
    found = {id(one): one for one in _tensors(module)}
    # Of a weight that is split over processes, the part that is here.
    here = [one.to_local() if hasattr(one, "to_local") else one for one in found.values()]
    return sum(one.numel() * one.element_size() for one in here)


def _tensors(module: Any) -> Iterator[Tensor]:
    yield from module.parameters()
    yield from module.buffers()
    for child in module.modules():
        if isinstance(child, PackedLinear):
            yield child._packed


def devices_of(module: Any) -> set[torch.device]:
    """Where the model's weights are."""
    return {one.device for one in module.parameters() if one.device.type != "meta"} or {
        output_device(module)
    }


def sum_free(devices: set[torch.device]) -> int | None:
    """What may still be used on the devices together; None: one of them does not tell."""
    free = [free_bytes(device) for device in devices]
    return None if None in free else sum(one for one in free if one is not None)


def free_bytes(device: torch.device) -> int | None:
    """What may still be used on a device, a reserve left alone; None: it does not tell."""
    if device.type == "cuda":
        free, total = torch.cuda.mem_get_info(device)
        # What torch holds without using it serves the next tensors.
        free += torch.cuda.memory_reserved(device) - torch.cuda.memory_allocated(device)
        return max(0, free - max(_GPU_RESERVE, int(_GPU_SHARE * total)))
    if device.type == "cpu":
        found = host_memory()
        if found is None:
            return None
        free, total = found
        return max(0, free - max(_CPU_RESERVE, int(_CPU_SHARE * total)))
    return None


def host_memory(root: Path = Path("/")) -> tuple[int, int] | None:
    """(free, total) bytes of this machine or of the container that this process is in.

    None where there is no /proc to ask. The smallest of all limits counts: the machine's own,
    and those of the control groups (version 1 or 2) above this process.
    """
    try:
        lines = (root / "proc/meminfo").read_text().splitlines()
        told = dict(line.split(":", 1) for line in lines if ":" in line)
        total = int(told["MemTotal"].split()[0]) * 1024
        free = int(told["MemAvailable"].split()[0]) * 1024
    except (OSError, KeyError, ValueError, IndexError):
        return None
    for limit, used in _group_limits(root):
        total, free = min(total, limit), min(free, max(0, limit - used))
    return free, total


def _group_limits(root: Path) -> Iterator[tuple[int, int]]:
    """(limit, used) of each control group that limits this process's memory."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, kinds, path = line.split(":", 2)
        if kinds == "":
            top, names = root / "sys/fs/cgroup", ("memory.max", "memory.current")
        elif "memory" in kinds.split(","):
            top = root / "sys/fs/cgroup/memory"
            names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        else:
            continue
        # Inside a container the path is often that of the host, and only the top is there.
        place = top / path.strip("/")
        for folder in {place, *place.parents}:
            if folder.is_relative_to(top):
                yield from _limit(folder, *names)


def _limit(folder: Path, limit_name: str, used_name: str) -> Iterator[tuple[int, int]]:
    try:
        limit = int((folder / limit_name).read_text())  # "max" is no number: no limit
        used = int((folder / used_name).read_text())
        stat = (folder / "memory.stat").read_text().split()
    except (OSError, ValueError):
        return
    told = dict(zip(stat[::2], stat[1::2], strict=False))
    # Files that are merely cached are given up when memory is asked for.
    cached = sum(int(told.get(f"{kind}_file", 0)) for kind in ("active", "inactive"))
    yield limit, max(0, used - cached)


def ran_out(error: BaseException) -> bool:
    """Whether a failure means that the device has no more memory, and nothing worse."""
    # On CPU torch raises a plain RuntimeError, and CUDA's libraries others: only text tells.
    return isinstance(error, (torch.OutOfMemoryError, MemoryError)) or (
        isinstance(error, RuntimeError)
        and (str(error) in _ONEDNN or any(text in str(error) for text in _NO_MEMORY))
    )


def give_memory_back(device: torch.device) -> None:
    """Free what nothing uses any more: after a failure the device's allocator still holds it."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
