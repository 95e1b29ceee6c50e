"""Tensor parallelism: k processes, one a GPU, each with its part of every layer.

transformers splits the weights by the model's own plan and joins the parts' results inside every
layer. So all processes must make the same calls in the same order: the first one leads, and tells
the others each call over a channel on the CPU; big tensors go from device to device.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from transformers import AutoConfig

from prelogit.core.errors import DeviceError, ModelError
from prelogit.engine.tensor_parallel.followers import Followers, listen

# Longest wait for another process inside a layer, and for all of them at the start.
_TIMEOUT = timedelta(minutes=10)
# A team may wait for its next prompt as long as it likes.
_IDLE = timedelta(days=365)
# Integers of one message; a longer one takes two.
_SHORT = 1024


class Team:
    """The processes of one model. Rank 0 leads."""

    def __init__(self, rank: int, size: int, followers: Followers | None, store: Any) -> None:
        self.rank, self.size = rank, size
        self.followers, self._store = followers, store
        self._channel = dist.new_group(backend="gloo", timeout=_IDLE)
        self._lost = ""
        self._closed = False
        self.on_loss: Callable[[str], None] | None = None  # called from another thread
        if followers is not None:
            followers.watch(self._end)

    def tell(self, values: Sequence[int]) -> None:
        """Send integers to all other processes; the leader's."""
        message = torch.zeros(_SHORT, dtype=torch.int64)
        message[0] = len(values)
        head = torch.tensor(values[: _SHORT - 1], dtype=torch.int64)
        message[1 : 1 + len(head)] = head
        dist.broadcast(message, 0, group=self._channel)
        if len(values) >= _SHORT:
            rest = torch.tensor(values[_SHORT - 1 :], dtype=torch.int64)
            dist.broadcast(rest, 0, group=self._channel)

    def hear(self) -> list[int]:
        """What the leader tells next; waits for it."""
        message = torch.zeros(_SHORT, dtype=torch.int64)
        dist.broadcast(message, 0, group=self._channel)
        length = int(message[0])
        values: list[int] = message[1 : 1 + min(length, _SHORT - 1)].tolist()
        if length >= _SHORT:
            rest = torch.zeros(length - (_SHORT - 1), dtype=torch.int64)
            dist.broadcast(rest, 0, group=self._channel)
            values += rest.tolist()
        return values

    def share(self, tensor: Tensor) -> None:
        """The leader's values into the same contiguous tensor of every process, in place."""
        dist.broadcast(tensor.view(torch.uint8), 0)

    def agree(self, what: str) -> None:
        """Raises: ModelError: the processes do not say the same."""
        said: list[Any] = [None] * self.size
        dist.all_gather_object(said, what, group=self._channel)
        if len(set(said)) > 1:
            raise ModelError(f"the processes of a tensor-parallel model differ: {said}")

    @contextmanager
    def together(self) -> Iterator[None]:
        """Around a call that all processes make. One that fails in one of them ends the team.

        Raises: DeviceError: the team is of no more use; load the model again.
        """
        if self._lost:
            raise DeviceError(self._lost)
        try:
            yield
        except ModelError:
            self.close(broken=True)
            raise
        except BaseException as error:
            gone = self.followers.gone(patience_seconds=5.0) if self.followers else ""
            self._lost = (
                self._lost
                or gone
                or (
                    f"the tensor-parallel model failed ({type(error).__name__}): where memory ran out, "
                    "lower PRELOGIT_MAX_ROWS"
                )
            )
            self.close(broken=True)
            if not isinstance(error, Exception):
                raise
            raise DeviceError(self._lost) from error

    def _end(self, said: str) -> None:
        """A process that was started here has ended."""
        if self._closed:
            return
        self._lost = said
        if torch.cuda.is_available():  # what waits on a GPU for the lost process would wait long
            with suppress(Exception):
                dist.distributed_c10d._abort_process_group()
        if self.on_loss is not None:
            self.on_loss(said)

    def close(self, *, broken: bool = False) -> None:
        """End the other processes; the leader's. Closing twice does nothing."""
        if self._closed:
            return
        self._closed = True
        self._lost = self._lost or "the model is closed: load it again"
        if not broken and self.rank == 0:
            with suppress(RuntimeError):
                self.tell([END])
        if self.followers is not None:
            self.followers.end(patience_seconds=0.0 if broken else 10.0)
        if dist.is_initialized():
            with suppress(RuntimeError):
                dist.destroy_process_group()


# The message that ends a team; the others are in mirror.py.
END = 0


def check_plan(folder: str, size: int) -> None:
    """Raises: ModelError: transformers cannot split this model into so many parts."""
    config = AutoConfig.from_pretrained(folder, trust_remote_code=False).get_text_config()
    plan = config.base_model_tp_plan or {}
    if not plan:
        raise ModelError(
            f"transformers has no plan to split a {config.model_type!r} model: use device_map "
            "in place of tensor_parallel"
        )
    keys = ("k_proj", "qkv_proj", "query_key_value")
    if not any(k.rsplit(".", 1)[-1] in keys and how == "colwise" for k, how in plan.items()):
        return  # its attention is not split by heads
    heads = {
        name: getattr(config, name, None) for name in ("num_attention_heads", "num_key_value_heads")
    }
    for name, count in heads.items():
        if isinstance(count, int) and count % size:
            raise ModelError(
                f"tensor_parallel {size} does not divide the model's {name}, {count}: choose a "
                "divisor"
            )


def join(size: int, device: torch.device, call: dict[str, Any]) -> Team:
    """The team of this process: those that torchrun started, else followers started here.

    Args:    call: the arguments of ``load_model``, which followers repeat.
    Raises:  ModelError: says what is wrong and the cure.
    """
    if dist.is_initialized():
        raise ModelError(
            "this process is in a process group already: one tensor-parallel model a process, "
            "close() the first one"
        )
    found = torch.accelerator.current_accelerator()
    if (found.type if found else "cpu") != device.type:
        raise ModelError(
            f"tensor_parallel is for {found}: with device cpu, hide the GPUs from this process "
            "(CUDA_VISIBLE_DEVICES=)"
        )
    # Control goes over the CPU in any case.
    backend = "cpu:gloo,cuda:nccl" if device.type == "cuda" else "gloo"
    if "RANK" in os.environ:  # started by torchrun, or as a follower
        if int(os.environ["WORLD_SIZE"]) != size:
            raise ModelError(
                f"tensor_parallel is {size}, but {os.environ['WORLD_SIZE']} processes were "
                "started: make both the same"
            )
        _use(device, int(os.environ.get("LOCAL_RANK", "0")))
        store, rank, _ = next(
            dist.rendezvous("env://", timeout=_TIMEOUT)  # type: ignore[attr-defined]
        )
        followers = None
    else:
        first = device.index or 0
        if device.type == "cuda" and first + size > torch.cuda.device_count():
            raise ModelError(
                f"tensor_parallel {size} needs as many GPUs, from {device} on, but this machine "
                f"shows {torch.cuda.device_count()}"
            )
        _use(device, first)
        store, port = listen(size, _TIMEOUT)
        followers, rank = Followers(size, port, first, call), 0
    try:
        _wait(store, rank, size, followers)
        dist.init_process_group(backend, store=store, rank=rank, world_size=size, timeout=_TIMEOUT)
        return Team(rank, size, followers, store)
    except BaseException:
        if followers is not None:
            followers.end(patience_seconds=0.0)
        raise


def _use(device: torch.device, local: int) -> None:
    if device.type == "cuda":
        torch.cuda.set_device(local)


def _wait(store: Any, rank: int, size: int, followers: Followers | None) -> None:
    """Until all are there, or one that was started here has ended."""
    store.set(f"here/{rank}", "yes")
    keys = [f"here/{other}" for other in range(size)]
    deadline = time.monotonic() + _TIMEOUT.total_seconds()
    while not store.check(keys):
        if followers is not None and (gone := followers.gone()):
            raise ModelError(gone)
        if time.monotonic() > deadline:
            raise ModelError(f"not all {size} processes of the tensor-parallel model have come")
        time.sleep(0.02)
