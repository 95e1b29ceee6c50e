"""Drives a decoder by hand: groups that join, lose rows and leave, step by step."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

from prelogit.engine import attention
from prelogit.engine.decoder import Decoder, SharedDecoder, own_step
from prelogit.engine.graphs.capture import Capture
from prelogit.engine.graphs.graph import GraphDecoder
from prelogit.engine.prefix import Group, Prefix
from tests import tiny
from tests.engine.graphs.recording import record

# Shorter and longer than the sliding windows of the small configurations, which are 12.
PROMPTS = ([5, 9, 17], list(range(40, 51)), [3 + (7 * i) % 250 for i in range(77)])


class Join(NamedTuple):
    """m samples of a prompt begin."""

    step: int
    prompt: int
    rows: int
    capacity: int = 40


class Keep(NamedTuple):
    """Only these rows of the group that joined as the ``group``-th go on; none: it leaves."""

    step: int
    group: int
    rows: tuple[int, ...] = ()


def ways(config: Any, capture: Capture = record) -> tuple[SharedDecoder, GraphDecoder]:
    """Both ways on one small model."""
    module = tiny.language_model(config)
    attention.register()
    module.set_attn_implementation(attention.NAME)
    step = own_step(module.base_model, module.config.get_text_config().num_hidden_layers)
    shared = SharedDecoder(module.base_model, step)
    return shared, GraphDecoder(shared, step, capture)


class Run:
    """One decoder's groups."""

    def __init__(self, way: Decoder) -> None:
        self.way = way
        self.groups: list[Group | None] = []  # in the order they joined; None: has left
        self._prefixes: dict[int, Prefix] = {}

    @property
    def live(self) -> list[Group]:
        return [group for group in self.groups if group is not None]

    @torch.inference_mode()
    def join(self, event: Join) -> None:
        if event.prompt not in self._prefixes:
            self._prefixes[event.prompt] = self.way.prefill(PROMPTS[event.prompt])
        prefix = self._prefixes[event.prompt]
        self.groups.append(Group(prefix, range(event.rows), event.capacity))

    @torch.inference_mode()
    def keep(self, event: Keep) -> None:
        group = self.groups[event.group]
        assert group is not None
        self.way.keep(group, list(event.rows))
        if not event.rows:
            self.groups[event.group] = None

    @torch.inference_mode()
    def step(self, number: int) -> Tensor:
        """Feed made-up tokens; the hidden states of all live rows."""
        generator = torch.Generator().manual_seed(number)
        rows = sum(group.live for group in self.live)
        self.way.forward(self.live, torch.randint(1, 250, (rows,), generator=generator))
        return torch.cat([group.hidden for group in self.live])


def play(way: Decoder, steps: int, events: list[Join | Keep]) -> list[Tensor]:
    """The hidden states of every step."""
    run, hidden = Run(way), []
    for number in range(steps):
        for event in events:
            if event.step == number:
                run.join(event) if isinstance(event, Join) else run.keep(event)
        if run.live:
            hidden.append(run.step(number))
    return hidden


def apart(got: list[Tensor], want: list[Tensor]) -> float:
    """The largest difference, in parts of the largest hidden state."""
    assert len(got) == len(want)
    return max(float((a - b).abs().max() / b.abs().max()) for a, b in zip(got, want, strict=True))
