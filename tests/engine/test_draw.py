"""Noise and sampling of all plans in one call each, to the bit what each plan has alone."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from prelogit.engine import draw, pick
from prelogit.engine.load import Model, prepare
from prelogit.engine.prefix import Group
from prelogit.engine.work import Seat, Work
from prelogit.noise import standard_normal
from prelogit.search.plan import Control, Gaussian, Greedy, NoiseKey, Pick, Plan, SearchId, TopP
from tests import tiny
from tests.engine.conftest import FAMILIES


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(FAMILIES["llama"]), tiny.tokenizer())


def seat(model: Model, control: Control, how: Pick, samples: list[int], decoded: int = 0) -> Seat:
    """Rows that have decoded so many tokens."""
    work = Work(SearchId("x"), Plan(8, control, how, 10), model.head.device)
    with torch.inference_mode():
        group = Group(model.decoder.prefill([3, 1, 4, 1, 5 + decoded]), samples, 10)
    group.decoded = decoded
    return Seat(work, group, tuple(samples))


def test_noise_is_that_of_each_name_in_two_roundings(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    torch.manual_seed(0)
    mean, zero = torch.randn(4, model.dim), torch.zeros(4, model.dim)
    key, other = NoiseKey(1, "p", 2), NoiseKey(9, "q", 5)
    seats = [
        seat(model, Gaussian(mean, 0.7, key), Greedy(), [1, 4, 6], decoded=2),
        seat(model, None, Greedy(), [0, 1]),
        seat(model, Gaussian(mean, 0.0, key), Greedy(), [3]),
        seat(model, Gaussian(mean, 0.7, key), Greedy(), [3], decoded=4),  # past the window
        seat(model, Gaussian(zero, 1.3, other), Greedy(), [7, 0], decoded=3),
        seat(model, Gaussian(mean, 0.7, key, frozen=2), Greedy(), [5], decoded=1),
        seat(model, Gaussian(mean, 0.7, key, frozen=2), Greedy(), [5], decoded=2),
    ]
    calls: list[int] = []
    real = draw.normal_rows

    def counted(names: Any, dim: int) -> Tensor:
        calls.append(len(names.step))
        return real(names, dim)

    monkeypatch.setattr(draw, "normal_rows", counted)
    added = draw._added(seats, draw._spans(seats), model.head)
    assert added is not None
    assert calls == [6]

    def eps(key: NoiseKey, sample: int, step: int) -> Tensor:
        return standard_normal(
            seed=key.seed,
            prompt=key.prompt,
            iteration=key.iteration,
            sample=sample,
            step=step,
            dim=model.dim,
        )

    want = [
        *(mean[2] + 0.7 * eps(key, sample, 3) for sample in (1, 4, 6)),
        *[torch.zeros(model.dim)] * 2,
        mean[0],
        torch.zeros(model.dim),
        *(zero[3] + 1.3 * eps(other, sample, 4) for sample in (7, 0)),
        mean[1],
        mean[2] + 0.7 * eps(key, 5, 3),
    ]
    assert torch.equal(added, torch.stack(want))
    moved = seats[0].work
    v = torch.stack(want[:3]).double()
    assert torch.equal(moved.dot[[1, 4, 6]], (v * mean[2].double()).sum(dim=-1))
    assert not seats[5].work.dot.any()
    assert moved.dot.count_nonzero() == 3
    assert all(one.work.dot.count_nonzero() == 0 for one in seats[1:6])
    assert draw._added(seats[1:2], draw._spans(seats[1:2]), model.head) is None


@torch.inference_mode()
def test_rows_that_sample_alike_are_picked_in_one_call(
    model: Model, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = NoiseKey(1, "p", 2)
    likes = [
        TopP(0.6, 0.9, key),
        Greedy(),
        TopP(1.0, 0.8, key),
        TopP(0.6, 0.9, key._replace(seed=3)),
    ]
    seats = [seat(model, None, how, [0, 5, 2], decoded=i) for i, how in enumerate(likes)]
    alone = torch.cat([draw.draw(model.head, [one]).tokens for one in seats])
    calls: list[tuple[int, float, float]] = []
    real = pick.top_p

    def counted(logits: Tensor, temperature: float, mass: float, uniform: Tensor) -> Tensor:
        calls.append((len(logits), temperature, mass))
        return real(logits, temperature, mass, uniform)

    monkeypatch.setattr(pick, "top_p", counted)
    assert torch.equal(draw.draw(model.head, seats).tokens, alone)
    assert calls == [(6, 0.6, 0.9), (3, 1.0, 0.8)]
