"""Functions over fixed memory, captured once as CUDA graphs and replayed."""

from __future__ import annotations

import warnings
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, Protocol, TypeVar

import torch

from prelogit.core.buckets import GRAPHS


class Capture(Protocol):
    """Turns a function into one that does the same on the same memory, faster."""

    def __call__(self, run: Callable[[], None], /) -> Callable[[], None]:
        """Runs it at least once on the way."""


class Repeated(Protocol):
    """What is captured. ``run`` takes no numbers from Python that change, and waits for nothing."""

    replay: Callable[[], None]  # ``run`` itself, until a graph takes its place

    def run(self) -> None:
        """Reads and writes memory that stays where it is."""


S = TypeVar("S", bound=Repeated)


class Graphs(Generic[S]):
    """A bounded number of captured functions by key; without graphs once a capture has failed."""

    def __init__(self, capture: Capture, most: int = GRAPHS) -> None:
        self._capture, self._most = capture, most
        self._known: OrderedDict[Hashable, S] = OrderedDict()  # the least recently used first
        self.failed = False
        self.strict = False  # whether a failed capture is raised, not survived

    def __len__(self) -> int:
        return len(self._known)

    def find(self, key: Hashable) -> S | None:
        """What was run under this key, unless it was let go."""
        return self._known.get(key)

    def run(self, key: Hashable, step: S) -> None:
        """Run it; the first time it is captured, and a failure to do so is warned of once."""
        if key not in self._known and not self.failed:
            try:
                step.replay = self._capture(step.run)
            except Exception as error:  # whatever a driver or a foreign model raises
                if self.strict:
                    raise
                self.failed = True
                self._known.clear()
                warnings.warn(
                    f"a decode step could not be captured as a CUDA graph ({type(error).__name__}: "
                    f"{error}); decoding goes on without, which costs time",
                    stacklevel=5,
                )
        self._known[key] = step
        self._known.move_to_end(key)
        while len(self._known) > self._most:
            self._known.popitem(last=False)
        step.replay()

    def clear(self) -> None:
        """Forget all, as after the memory has moved."""
        self._known.clear()


class CudaCapture:
    """Graphs that share one memory pool: they never run at the same time."""

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._stream = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()

    def __call__(self, run: Callable[[], None], /) -> Callable[[], None]:
        """Run it twice on a side stream, then record it there; returns the replay.

        Raises: RuntimeError: it waits for the device, or CUDA refuses it.
        """
        strict, before = torch.cuda.get_sync_debug_mode(), torch.cuda.current_stream(self._device)
        self._stream.wait_stream(before)
        try:
            with torch.cuda.stream(self._stream):
                run()  # may still fill caches
                # An error from here leaves CUDA in order; one from the midst of a capture is
                # harder to survive.
                torch.cuda.set_sync_debug_mode("error")
                run()
        finally:
            torch.cuda.set_sync_debug_mode(strict)
            before.wait_stream(self._stream)
        graph = torch.cuda.CUDAGraph()
        try:
            # thread_local: a reward model in another thread may use the device meanwhile.
            with torch.cuda.graph(
                graph, pool=self._pool, stream=self._stream, capture_error_mode="thread_local"
            ):
                run()
        except BaseException:
            torch.cuda.set_stream(before)  # the capture's own exit does not, when it fails
            raise
        replay: Callable[[], None] = graph.replay
        return replay
