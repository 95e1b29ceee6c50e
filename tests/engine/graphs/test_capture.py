"""The order of a CUDA capture, and what is put right when it fails; CUDA itself is made up here."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch

from prelogit.engine.graphs.capture import CudaCapture


class Cuda:
    """Stands in for torch.cuda and notes what it is asked."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, refuses: bool = False) -> None:
        self.log: list[str] = []
        self.mode: Any = 0
        self.stream: Any = "main"
        self._refuses = refuses
        for name in (
            *("Stream", "CUDAGraph", "graph_pool_handle", "current_stream", "set_stream"),
            *("get_sync_debug_mode", "set_sync_debug_mode", "stream", "graph"),
        ):
            monkeypatch.setattr(torch.cuda, name, getattr(self, f"_{name}"))

    def _Stream(self, device: Any = None) -> Any:
        return _Stream(self.log, "side")

    def _CUDAGraph(self) -> Any:
        return type("Graph", (), {"replay": lambda: self.log.append("replay")})

    def _graph_pool_handle(self) -> tuple[int, int]:
        return (0, 1)

    def _current_stream(self, device: Any = None) -> Any:
        return _Stream(self.log, "main")

    def _set_stream(self, stream: Any) -> None:
        self.stream = stream.name

    def _get_sync_debug_mode(self) -> int:
        return 0

    def _set_sync_debug_mode(self, mode: Any) -> None:
        self.mode = mode

    @contextmanager
    def _stream(self, stream: Any) -> Iterator[None]:
        before, self.stream = self.stream, stream.name
        try:
            yield
        finally:
            self.stream = before

    @contextmanager
    def _graph(
        self, graph: Any, *, pool: Any, stream: Any, capture_error_mode: str
    ) -> Iterator[None]:
        before, self.stream = self.stream, stream.name
        self.log.append("capture begins")
        yield
        if self._refuses:
            raise RuntimeError("operation failed due to a previous error during capture")
        self.log.append("capture ends")
        self.stream = before


class _Stream:
    def __init__(self, log: list[str], name: str) -> None:
        self.log, self.name = log, name

    def wait_stream(self, other: Any) -> None:
        self.log.append(f"{self.name} waits for {other.name}")


def test_it_warms_up_on_a_side_stream_and_then_captures(monkeypatch: pytest.MonkeyPatch) -> None:
    cuda = Cuda(monkeypatch)
    capture = CudaCapture(torch.device("cuda:1"))
    replay = capture(lambda: cuda.log.append(f"run on {cuda.stream}, mode {cuda.mode}"))
    replay()
    assert cuda.log == [
        "side waits for main",
        "run on side, mode 0",
        "run on side, mode error",
        "main waits for side",
        "capture begins",
        "run on side, mode 0",
        "capture ends",
        "replay",
    ]
    assert cuda.stream == "main"


@pytest.mark.parametrize("fails", ["first run", "strict run", "capture"])
def test_after_a_failure_stream_and_mode_are_as_before(
    fails: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cuda = Cuda(monkeypatch, refuses=fails == "capture")
    runs = []

    def run() -> None:
        runs.append(cuda.mode)
        if len(runs) == {"first run": 1, "strict run": 2, "capture": 0}[fails]:
            raise RuntimeError("called a synchronizing CUDA operation")

    with pytest.raises(RuntimeError):
        CudaCapture(torch.device("cuda"))(run)
    assert cuda.mode == 0
    assert cuda.stream == "main"
    assert "main waits for side" in cuda.log  # what ran there is over before anything else runs
