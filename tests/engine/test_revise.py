"""Noise in the shape of the model's uncertainty, and texts that condition it."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from prelogit.engine.load import Model, prepare
from prelogit.engine.revise import Drawn, revised
from prelogit.noise import Rows, rows_of
from prelogit.search.plan import NoiseKey, Plan, Revise, SearchId
from tests import tiny
from tests.engine.conftest import FAMILIES

T, MASS = 0.7, 0.9


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(FAMILIES["llama"]), tiny.tokenizer())


def names(count: int, step: int = 1) -> Rows:
    return rows_of(
        seed=3,
        prompt="p",
        iteration=2,
        sample=torch.arange(count),
        step=torch.full((count,), step),
    )


def how(window: int = 10) -> Revise:
    nothing = torch.empty(0, 0)
    return Revise(nothing, MASS, NoiseKey(3, "p", 2), window, nothing.long(), nothing.bool())


def hot(count: int) -> Tensor:
    return torch.full((count,), T, dtype=torch.float64)


def draw(
    model: Model,
    logits: Tensor,
    text: int | Tensor = -1,
    keep: bool | Tensor = False,
    rows: Rows | None = None,
    window: int = 10,
    temperature: float | Tensor = T,
) -> Drawn:
    count = len(logits)
    return revised(
        model.head,
        logits,
        how(window),
        rows or names(count),
        torch.full((count,), temperature, dtype=torch.float64)
        if isinstance(temperature, float)
        else temperature,
        torch.full((count,), text) if isinstance(text, int) else text,
        torch.full((count,), keep) if isinstance(keep, bool) else keep,
    )


def some_logits(model: Model, seed: int = 0) -> Tensor:
    """[1, V]: of a hidden state that makes the model unsure."""
    generator = torch.Generator().manual_seed(seed)
    with torch.inference_mode():
        logits = model.head.logits(torch.randn(2, model.dim, generator=generator))[:1].clone()
    return 4.0 * (logits - logits.mean()) / logits.std()


def nucleus_of(logits: Tensor) -> dict[int, float]:
    """Token to probability in the nucleus, by a loop."""
    p = torch.softmax(logits[0].float() / T, dim=-1).double()
    chosen, total = {}, 0.0
    for token in sorted(range(len(p)), key=lambda j: (-float(p[j]), j)):
        chosen[token] = float(p[token])
        total += float(p[token])
        if total >= MASS:
            break
    return {token: value / sum(chosen.values()) for token, value in chosen.items()}


def test_without_a_text_tokens_are_drawn_nearly_as_top_p_draws_them(model: Model) -> None:
    logits = some_logits(model)
    q = nucleus_of(logits)
    drawn = draw(model, logits.expand(6000, -1))
    counts = torch.bincount(drawn.tokens, minlength=logits.shape[1]).double() / 6000
    assert set(drawn.tokens.tolist()) <= set(q)
    apart = 0.5 * sum(abs(float(counts[token]) - share) for token, share in q.items())
    # Gaussian noise of the same width: near to Gumbel noise, whose shares are exactly q.
    assert apart < 0.12
    assert bool(drawn.free.all())
    assert float(drawn.log_prior.abs().max()) == 0.0
    base = torch.log_softmax(logits[0].double(), dim=-1)
    want = sum(share * (math.log(share) - float(base[token])) for token, share in q.items())
    assert drawn.kl.tolist() == pytest.approx([want] * 6000)
    token = int(drawn.tokens[0])
    assert float(drawn.log_ratio[0]) == pytest.approx(math.log(q[token]) - float(base[token]))


def test_two_scores_differ_by_noise_as_wide_as_the_logistic_of_sampling(model: Model) -> None:
    logits = torch.full((1, model.head.rows(torch.arange(257)).shape[0]), -30.0)
    logits[0, [5, 9]] = torch.tensor([1.0, 0.6])
    drawn = draw(model, logits)
    apart = model.head.rows(torch.tensor([5]))[0] - model.head.rows(torch.tensor([9]))[0]
    # Of two tokens the score's difference has standard deviation s |W_5 - W_9|.
    deviation = float(drawn.sigma2[0].sqrt()) * float(apart.double().norm())
    q = 1 / (1 + math.exp(-0.4 / T))
    assert deviation == pytest.approx(
        T * math.pi / math.sqrt(3) * math.sqrt(2 * q * (1 - q) / (2 * q * (1 - q))), rel=1e-6
    )


def test_each_row_has_a_temperature_of_its_own(model: Model) -> None:
    logits = some_logits(model).expand(4, -1)
    heat = torch.tensor([T, 0.01, T, 2 * T], dtype=torch.float64)
    mixed = draw(model, logits, temperature=heat)
    plain = draw(model, logits)
    assert mixed.tokens[[0, 2]].tolist() == plain.tokens[[0, 2]].tolist()
    assert mixed.sigma2[[0, 2]].tolist() == plain.sigma2[[0, 2]].tolist()
    assert (int(mixed.tokens[1]), bool(mixed.free[1])) == (int(logits[0].argmax()), False)
    assert float(mixed.sigma2[3]) > float(mixed.sigma2[0])
    assert float(mixed.kl[3]) < float(mixed.kl[0])  # nearer to the model's own temperature of 1


def test_a_kept_token_stays_where_the_nucleus_has_it_and_is_drawn_where_not(model: Model) -> None:
    logits = some_logits(model)
    q = nucleus_of(logits)
    rare, unlikely = list(q)[-1], int(logits[0].argmin())
    kept = draw(model, logits.expand(50, -1), rare, True)
    assert kept.tokens.tolist() == [rare] * 50
    assert kept.log_prior.tolist() == pytest.approx([math.log(q[rare])] * 50)
    base = float(torch.log_softmax(logits[0].double(), dim=-1)[rare])
    assert kept.kl.tolist() == pytest.approx([-base] * 50)
    assert bool(kept.free.all())
    fresh, other = (
        draw(model, logits.expand(50, -1)),
        draw(model, logits.expand(50, -1), unlikely, True),
    )
    assert other.tokens.tolist() == fresh.tokens.tolist()
    assert float(other.log_prior.abs().max()) == 0.0


def test_a_token_that_is_drawn_anew_is_another_where_there_is_another(model: Model) -> None:
    logits = some_logits(model)
    q = nucleus_of(logits)
    likely = next(iter(q))
    drawn = draw(model, logits.expand(200, -1), likely, False)
    assert likely not in drawn.tokens.tolist()
    assert set(drawn.tokens.tolist()) <= set(q)
    assert drawn.log_prior.tolist() == pytest.approx([math.log(1 - q[likely])] * 200)
    sure = torch.full_like(logits, -30.0)
    sure[0, 7] = 30.0
    alone = draw(model, sure, 7, False)
    assert (alone.tokens.tolist(), alone.free.tolist(), alone.log_prior.tolist()) == (
        [7],
        [False],
        [0.0],
    )


def test_past_the_window_the_most_likely_token_follows(model: Model) -> None:
    logits = some_logits(model).expand(30, -1)
    drawn = draw(model, logits, rows=names(30, step=4), window=3)
    assert drawn.tokens.tolist() == [int(logits[0].argmax())] * 30
    assert not bool(drawn.free.any())
    assert float(drawn.sigma2.max()) == 0.0
    inside = draw(model, logits, rows=names(30, step=3), window=3)
    assert len(set(inside.tokens.tolist())) > 1


@settings(max_examples=25)
@given(st.integers(0, 2**20), st.lists(st.integers(0, 11), min_size=1, max_size=8, unique=True))
def test_a_row_is_the_same_to_the_bit_beside_any_other_rows(
    model: Model, seed: int, chosen: list[int]
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.cat([some_logits(model, seed + i) * (0.3 + i / 4) for i in range(12)])
    text = logits.topk(3).indices[torch.arange(12), torch.randint(0, 3, (12,), generator=generator)]
    keep = torch.rand(12, generator=generator) < 0.5
    rows, heat = names(12), 0.4 + torch.arange(12).double() / 8
    together = draw(model, logits, text, keep, rows, temperature=heat)
    pick = torch.tensor(chosen)
    named = Rows(*(one[pick] for one in rows))
    some = draw(model, logits[pick], text[pick], keep[pick], named, temperature=heat[pick])
    for whole, part in zip(together, some, strict=True):
        assert torch.equal(whole[pick], part)


def run(model: Model, plan: Plan) -> Any:
    engine = model.engine()
    engine.admit("p", [5, 6, 7])
    engine.add(SearchId("p"), plan)
    done: list[Any] = []
    while engine.busy:
        done += engine.step()
    return done[0][1]


def test_a_plan_that_keeps_all_of_a_text_gives_the_text_again(model: Model) -> None:
    key = NoiseKey(1, "p", 1)
    nothing = torch.full((6, 12), -1)
    first = run(model, Plan(6, None, Revise(hot(6), MASS, key, 12, nothing, nothing >= 0), 12))
    assert len({tuple(ids) for ids in first.token_ids.tolist()}) > 1
    text = first.token_ids
    later = NoiseKey(1, "p", 2)
    again = run(model, Plan(6, None, Revise(hot(6), MASS, later, 12, text, text >= 0), 12))
    assert torch.equal(again.token_ids, text)
    assert torch.equal(again.revised.free, first.revised.free)
    # The first's tokens were drawn, the second's were certain: all their probability is in the KL.
    assert bool((again.revised.log_prior <= 0).all())
    assert bool((again.log_ratio >= first.log_ratio - 1e-9).all())
    assert again.kl.tolist() == pytest.approx(again.log_ratio.tolist())
