"""RE-Control in the engine: what climbs, how far, and what is kept of it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from prelogit.engine.engine import Engine
from prelogit.engine.load import Model, prepare
from prelogit.engine.memory.rows_limit import RowsLimit
from prelogit.search.plan import (
    Ascend,
    Gaussian,
    Greedy,
    NoiseKey,
    Plan,
    Rollouts,
    SearchId,
    TopP,
)
from prelogit.value.network import ValueNet, untrained
from tests import tiny
from tests.engine.conftest import FAMILIES

PROMPT = [5, 9, 17, 30]
TOKENS = 6
KEY = NoiseKey(3, "x", 1)


def net(dim: int = 64) -> ValueNet:
    return untrained(dim, 32, seed=2)


def decode(model: Model, plans: dict[SearchId, Plan], rows: int = 64) -> dict[SearchId, Rollouts]:
    engine = Engine(model.decoder, model.head, model.ends, RowsLimit(rows))
    for search, plan in plans.items():
        engine.admit(search.prompt, PROMPT)
        engine.add(search, plan)
    done: dict[SearchId, Any] = {}
    while engine.busy:
        done.update(engine.step())
    return done


def plainly(module: Any, value: ValueNet, rate: float, steps: int) -> tuple[list[int], Tensor]:
    """Greedy tokens and unsteered pre-logits by autograd on plain transformers."""
    output, ids, states = module.get_output_embeddings(), list(PROMPT), []

    def steer(_: Any, args: Any) -> Any:
        last = args[0][:, -1].detach().clone()
        states.append(last[0])
        with torch.enable_grad():
            for _step in range(steps):
                last = last.detach().requires_grad_()
                (up,) = torch.autograd.grad(value.standardised(last).sum(), last)
                last = last + rate * up
        moved = args[0].clone()
        moved[:, -1] = last.detach()
        return (moved,)

    hook = output.register_forward_pre_hook(steer)
    with torch.no_grad():
        while len(ids) < len(PROMPT) + TOKENS:
            token = int(module(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
            ids.append(token)
            if token == 0:
                break
    hook.remove()
    return ids[len(PROMPT) :], torch.stack(states)


@pytest.mark.parametrize("name", ["llama", "gemma2-softcaps", "granite-scale", "phi-bias", "gpt2"])
def test_tokens_are_those_of_gradient_ascent_by_autograd(name: str) -> None:
    model = prepare("tiny", tiny.language_model(FAMILIES[name]), tiny.tokenizer())
    value = net(model.dim)
    plan = Plan(1, Ascend(value, 3.0, 5), Greedy(), TOKENS, keep_hidden=True)
    (got,) = decode(model, {SearchId("x"): plan}).values()
    want, states = plainly(tiny.language_model(FAMILIES[name]), value, 3.0, 5)
    length = int(got.length[0])
    assert got.token_ids[0, :length].tolist() == want
    assert got.hidden is not None
    assert got.hidden.shape == (1, TOKENS, model.dim)
    torch.testing.assert_close(got.hidden[0, :length], states, rtol=1e-3, atol=1e-3)
    plain = decode(model, {SearchId("x"): plan._replace(control=None)})
    assert plain[SearchId("x")].token_ids[0].tolist() != got.token_ids[0].tolist()


@pytest.fixture(scope="module")
def model() -> Model:
    return prepare("tiny", tiny.language_model(FAMILIES["llama"]), tiny.tokenizer())


def test_a_plan_that_climbs_decodes_alike_beside_any_others(model: Model) -> None:
    value, other = net(), untrained(64, 16, seed=5)
    mean = torch.full((TOKENS, 64), 0.1)
    plans = {
        SearchId("a"): Plan(5, Ascend(value, 0.3, 4), TopP(0.9, 0.9, KEY), TOKENS),
        SearchId("b"): Plan(3, Gaussian(mean, 0.6, KEY), Greedy(), TOKENS),
        SearchId("c"): Plan(2, Ascend(value, 0.3, 4), TopP(1.0, 1.0, KEY), TOKENS),
        SearchId("d"): Plan(4, Ascend(other, 1.0, 2), TopP(0.9, 0.9, KEY), TOKENS),
        SearchId("e"): Plan(1, None, Greedy(), TOKENS, keep_hidden=True),
    }
    together = decode(model, plans)
    for rows in (64, 2):
        for search, plan in plans.items():
            alone = decode(model, {search: plan}, rows)[search]
            assert torch.equal(alone.token_ids, together[search].token_ids)
    assert together[SearchId("a")].hidden is None
    assert together[SearchId("e")].hidden is not None


def test_both_kl_estimators_compare_with_the_model_that_does_not_climb(model: Model) -> None:
    def measured(rate: float) -> Rollouts:
        plan = Plan(1, Ascend(net(), rate, 3), TopP(1.0, 1.0, KEY), TOKENS, measure_kl=True)
        return decode(model, {SearchId("x"): plan})[SearchId("x")]

    still, little, far = measured(0.0), measured(0.2), measured(2.0)
    assert still.kl is not None
    assert little.kl is not None
    assert far.kl is not None
    assert far.log_ratio is not None
    assert float(still.kl[0]) == pytest.approx(0, abs=1e-6)
    assert 1e-4 < float(little.kl[0]) < float(far.kl[0])
    assert float(far.log_ratio[0]) != 0


def test_kept_states_are_cut_and_put_back_with_their_samples(model: Model) -> None:
    plan = Plan(7, None, TopP(1.0, 1.0, KEY), TOKENS, keep_hidden=True)
    whole = decode(model, {SearchId("x"): plan})[SearchId("x")]
    pieces = decode(model, {SearchId("x"): plan}, rows=2)[SearchId("x")]
    assert torch.equal(whole.token_ids, pieces.token_ids)
    assert whole.hidden is not None
    assert pieces.hidden is not None
    for sample, length in enumerate(whole.length.tolist()):
        mine = whole.hidden[sample, :length]
        torch.testing.assert_close(mine, pieces.hidden[sample, :length])
        assert mine.abs().sum(dim=-1).min() > 0
