"""Noise, logits and argmax in one captured function: the bits of the ordinary way."""

from __future__ import annotations

from typing import Any

import torch

from prelogit.engine import pick
from prelogit.engine.graphs.static_draw import StaticDraw
from prelogit.engine.load import prepare
from prelogit.noise import Rows, key_words, normal_rows
from tests import tiny
from tests.engine.graphs.recording import record


@torch.inference_mode()
def test_tokens_logits_and_products_are_those_of_the_ordinary_way(family: Any) -> None:
    model = prepare("tiny", tiny.language_model(family), tiny.tokenizer())
    draw = StaticDraw(model.head, record)
    for number, rows in enumerate([5, 8, 20, 3, 19]):  # buckets 8, 8, 24, 8, 24
        generator = torch.Generator().manual_seed(number)
        hidden = torch.randn(rows, model.dim, generator=generator)
        mean = torch.randn(rows, model.dim, generator=generator)
        sigma = torch.rand(rows, generator=generator) + 0.1
        mean[0], sigma[0] = 0.0, 0.0  # a row that nothing is added to
        sample = torch.arange(rows)
        low, high = key_words(number, "prompt")
        names = Rows(
            torch.full_like(sample, low),
            torch.full_like(sample, high),
            torch.full_like(sample, 2),
            sample,
            torch.full_like(sample, 7),
        )
        v = mean + sigma[:, None] * normal_rows(names, model.dim)
        logits = model.head.logits(hidden, v)
        got = draw(hidden, mean, sigma, names)
        assert torch.equal(got.tokens, pick.greedy(logits))
        torch.testing.assert_close(got.logits, logits, rtol=1e-5, atol=1e-4)
        assert torch.equal(got.dot, (v.double() * mean.double()).sum(dim=-1))
        assert torch.equal(got.logits[0], got.logits[0] + 0.0)
    assert len(draw.graphs) == 2
