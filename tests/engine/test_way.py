"""Which way is taken, and what is said where the better one cannot be."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

from prelogit.engine import way
from prelogit.engine.decoder import SharedDecoder, Step, own_step
from prelogit.engine.graphs import static_attention
from prelogit.engine.graphs.graph import GraphDecoder
from tests import tiny
from tests.engine.conftest import FAMILIES
from tests.engine.graphs.recording import record


def shared_way(module: Any) -> tuple[SharedDecoder, Step]:
    found, kind = way.choose(module, "auto")
    assert kind == "shared"
    assert type(found) is SharedDecoder  # no graphs without a GPU
    return found, own_step(module.base_model, module.config.num_hidden_layers)


def test_graphs_are_taken_where_their_results_agree(family: Any) -> None:
    module = tiny.language_model(family)
    shared, step = shared_way(module)
    found = way.with_graphs(module, shared, step, record)
    assert isinstance(found, GraphDecoder)
    assert found.nbytes == 0  # the probe's memory is given back


def never(run: Callable[[], None], /) -> Callable[[], None]:
    raise RuntimeError("operation not permitted when stream is capturing")


def nothing(run: Callable[[], None], /) -> Callable[[], None]:
    """A graph that replays nothing after its first run."""
    run()
    return lambda: None


@pytest.mark.parametrize(
    ("capture", "said"),
    [(never, "without CUDA graphs .*not permitted"), (nothing, "results differ by")],
)
def test_a_capture_that_fails_or_is_wrong_is_told_once(capture: Any, said: str) -> None:
    module = tiny.language_model(FAMILIES["llama"])
    shared, step = shared_way(module)
    with pytest.warns(UserWarning, match=said) as told:
        assert way.with_graphs(module, shared, step, capture) is shared
    assert len(told) == 1


def test_attention_that_cannot_be_made_static_is_told_once(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*args: Any) -> Any:
        raise NotImplementedError("no kernel for this")

    module = tiny.language_model(FAMILIES["llama"])
    shared, step = shared_way(module)
    monkeypatch.setattr(static_attention, "attend", broken)
    with pytest.warns(UserWarning, match="no kernel for this") as told:
        assert way.with_graphs(module, shared, step, record) is shared
    assert len(told) == 1
    hidden = shared.prefill([1, 2, 3]).hidden
    assert torch.isfinite(hidden).all()


@pytest.mark.parametrize(("graphs", "kind"), [("auto", GraphDecoder), ("off", SharedDecoder)])
def test_the_setting_decides_where_there_is_a_gpu(
    graphs: Any, kind: type[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(way, "_can_capture", lambda module: True)
    monkeypatch.setattr(way, "CudaCapture", lambda device: record)
    found, attention = way.choose(tiny.language_model(FAMILIES["llama"]), "auto", graphs)
    assert type(found) is kind
    assert attention == "shared"
