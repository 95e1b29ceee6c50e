"""Static shapes, captured and replayed, decode what the shared way decodes."""

from __future__ import annotations

import dataclasses
import gc
import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from prelogit.engine.decoder import SharedDecoder
from prelogit.engine.graphs.capture import Graphs
from prelogit.engine.graphs.graph import GraphDecoder
from prelogit.engine.load import prepare
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, SearchId
from tests import tiny
from tests.engine.conftest import FAMILIES
from tests.engine.graphs.recording import record
from tests.engine.graphs.stepping import Join, Keep, Run, apart, play, ways

EVENTS = [
    Join(0, 0, 5),
    Join(0, 1, 3),
    Join(0, 0, 2),  # a prompt that decodes already
    Join(4, 2, 20, 34),  # longer than the others: the slabs grow
    Keep(10, 0, (1, 3)),
    Keep(20, 3, (0, 19)),  # few rows left, one of them high up
    Keep(22, 1),
    Join(24, 1, 1, 10),
    Keep(33, 3),
    Keep(34, 4),
]


class Shapes:
    """A capture that records, and remembers for how many rows."""

    def __init__(self, fail_at: int | None = None) -> None:
        self.captured = 0
        self._fail_at = fail_at

    def __call__(self, run: Callable[[], None], /) -> Callable[[], None]:
        self.captured += 1
        if self.captured == self._fail_at:
            raise RuntimeError("operation not permitted when stream is capturing")
        return record(run)


def test_replays_agree_with_the_shared_way_whoever_comes_and_goes(family: Any) -> None:
    shared, graph = ways(family)
    assert apart(play(graph, 38, EVENTS), play(shared, 38, EVENTS)) < 1e-5


@settings(max_examples=15, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_any_course_of_events(data: Any) -> None:
    events: list[Join | Keep] = [Join(0, 2, 1)]  # never without a row
    live: dict[int, int] = {}  # rows of each other group, by when it joined
    joined = 1
    for step in range(1, 24):
        kind = data.draw(st.sampled_from(["join", "keep", "nothing"]))
        if kind == "join" and len(live) < 6:
            live[joined] = data.draw(st.integers(1, 12))
            events.append(Join(step, data.draw(st.integers(0, 2)), live[joined]))
            joined += 1
        elif kind == "keep" and live:
            group = data.draw(st.sampled_from(sorted(live)))
            rows = tuple(row for row in range(live.pop(group)) if data.draw(st.booleans()))
            events.append(Keep(step, group, rows))
            if rows:
                live[group] = len(rows)
    shared, graph = ways(FAMILIES["mistral-sliding"])
    assert apart(play(graph, 24, events), play(shared, 24, events)) < 1e-5


def test_a_bucket_is_captured_once_and_replayed() -> None:
    capture = Shapes()
    shared, graph = ways(FAMILIES["llama"], capture)
    events: list[Join | Keep] = [Join(0, 1, 8), Join(10, 1, 9), Keep(20, 0), Keep(25, 1, (8,))]
    assert apart(play(graph, 32, events), play(shared, 32, events)) < 1e-5
    # For 8 rows; for 17, when the slabs have grown; for 9; and for 1.
    assert capture.captured == 4


def test_no_more_graphs_are_kept_than_allowed() -> None:
    class Once:
        ran = 0

        def __init__(self) -> None:
            self.replay = self.run

        def run(self) -> None:
            Once.ran += 1

    graphs: Graphs[Once] = Graphs(lambda run: run, most=2)
    for key in ("a", "b", "a", "c"):
        graphs.run(key, graphs.find(key) or Once())
    assert len(graphs) == 2
    assert graphs.find("b") is None  # the least recently used
    assert Once.ran == 4


def test_two_engines_take_turns_on_one_decoder() -> None:
    shared, graph = ways(FAMILIES["qwen3-sliding"])
    want, got = ([Run(way), Run(way)] for way in (shared, graph))
    for pair in (want, got):
        pair[0].join(Join(0, 1, 3))
        pair[1].join(Join(0, 2, 9))
    for number in range(20):
        for a, b in zip(got, want, strict=True):
            if number % 3 or a is got[0]:
                assert apart([a.step(number)], [b.step(number)]) < 1e-5


def test_groups_that_were_given_up_leave_no_trace() -> None:
    shared, graph = ways(FAMILIES["llama"])
    lost = Run(graph)
    lost.join(Join(0, 2, 60))
    lost.step(0)
    large = graph.nbytes
    del lost
    gc.collect()
    events: list[Join | Keep] = [Join(0, 0, 2)]
    got = play(graph, 3, events)
    assert graph.nbytes < large / 4
    assert apart(got, play(shared, 3, events)) < 1e-5


@pytest.mark.parametrize("fail_at", [1, 2, 3])
def test_a_failed_capture_is_warned_of_once_and_nothing_is_lost(fail_at: int) -> None:
    capture = Shapes(fail_at)
    shared, graph = ways(FAMILIES["gemma3-sliding"], capture)
    with pytest.warns(UserWarning, match="CUDA graph") as told:
        got = play(graph, 38, EVENTS)
    assert len(told) == 1
    assert capture.captured == fail_at  # not tried again
    assert apart(got, play(shared, 38, EVENTS)) < 1e-5


def test_after_a_failure_new_groups_go_the_shared_way() -> None:
    shared, graph = ways(FAMILIES["llama"], Shapes(fail_at=1))
    run = Run(graph)
    run.join(Join(0, 0, 2))
    with pytest.warns(UserWarning, match="CUDA graph"):
        run.step(0)
    assert shared.nbytes == 0  # the first is in the slabs
    run.join(Join(1, 1, 2))
    run.step(1)
    assert 0 < shared.nbytes < graph.nbytes


def test_a_model_that_asks_its_tensors_is_not_captured() -> None:
    """Dynamic rotary positions look at the largest position, which a graph cannot."""
    config = FAMILIES["llama"].to_dict() | {
        "rope_parameters": {"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0}
    }
    shared, graph = ways(type(FAMILIES["llama"])(**config))
    with pytest.warns(UserWarning, match="is_nonzero"):
        got = play(graph, 5, EVENTS)
    assert apart(got, play(shared, 5, EVENTS)) < 1e-5


def test_the_engines_tokens_are_the_same(family: Any) -> None:
    model = prepare("tiny", tiny.language_model(family), tiny.tokenizer())
    assert isinstance(model.decoder, SharedDecoder)
    _, graph = ways(family)
    torch.manual_seed(1)
    told = []
    for way in (model.decoder, graph):
        engine = dataclasses.replace(model, decoder=way).engine()
        out: dict[str, Any] = {}
        for name, ids in {"a": [5, 9, 17], "b": list(range(40, 77))}.items():
            engine.admit(name, ids)
            control = Gaussian(torch.full((12, model.dim), 0.1), 0.7, NoiseKey(0, name, 1))
            engine.add(SearchId(name), Plan(5, control, Greedy(), 16))
        while engine.busy:
            out.update({search.prompt: rollouts for search, rollouts in engine.step()})
        told.append(out)
    for name in ("a", "b"):
        assert torch.equal(told[0][name].token_ids, told[1][name].token_ids)
        assert torch.equal(told[0][name].u_dot_noise, told[1][name].u_dot_noise)


def test_no_warning_where_all_goes_well() -> None:
    _, graph = ways(FAMILIES["llama"])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        play(graph, 3, EVENTS)
    assert isinstance(graph, GraphDecoder)
    assert not graph.graphs.failed
