"""Our engine's part in a benchmark: a prompt, a steered plan, and steps until it is done."""

from __future__ import annotations

import math

import torch

from prelogit.core.errors import MemoryShortError
from prelogit.engine.engine import Engine
from prelogit.engine.load import Model
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, Rollouts, SearchId

SIGMA2 = 0.5
# More steps than an engine runs before it records them; a worker's life is spent after that.
SETTLING_STEPS = 300


def gaussian_plan(samples: int, tokens: int, dim: int, *, prompt: str, iteration: int = 1) -> Plan:
    """Noise at every step around a zero mean: AISP's first round, or best of n's Gaussian form."""
    key = NoiseKey(0, prompt, iteration)
    control = Gaussian(torch.zeros(tokens, dim), math.sqrt(SIGMA2), key)
    return Plan(samples, control, Greedy(), tokens)


def run_plan(engine: Engine, search: SearchId, plan: Plan) -> Rollouts:
    """Add one plan and step until it comes out."""
    engine.add(search, plan)
    while True:
        for _, rollouts in engine.step():
            if isinstance(rollouts, MemoryShortError):
                raise rollouts
            assert isinstance(rollouts, Rollouts)
            return rollouts


def prefill(engine: Engine, prompt: str, token_ids: list[int], dim: int) -> None:
    """Have a prompt's keys and values computed: one sample of one token, which needs no more."""
    engine.admit(prompt, token_ids)
    run_plan(engine, SearchId(prompt), gaussian_plan(1, 1, dim, prompt=prompt))


def settle(model: Model, *, steps: int = SETTLING_STEPS) -> None:
    """Decode until steps are as they stay: recorded, compiled, or whatever the engine does in time."""
    engine, limit = model.engine(), steps
    if model.context is not None:
        limit = min(steps, model.context - 2)
    prefill(engine, "settling", [1], model.dim)
    done = 0
    while done < steps:
        run_plan(
            engine, SearchId("settling"), gaussian_plan(2, limit, model.dim, prompt="settling")
        )
        done += limit
