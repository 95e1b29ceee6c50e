"""How long the engine idles for rewards that take as long as decoding did.

The reward is one serial service elsewhere: it answers one plan after the other, each in exactly the
time that decoding this plan took, and uses no CPU here.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import torch

from benchmarks.prompt_set import mixed
from prelogit.engine.engine import Engine
from prelogit.engine.load import Model
from prelogit.methods import METHODS
from prelogit.search.course import Outcome, Scored, Search
from prelogit.search.driver import run
from prelogit.search.plan import Plan, Rollouts, SearchId, Shape
from prelogit.solve import texts_of
from prelogit.text import encode
from prelogit.wire.params import AISP


class _Clocked:
    """An engine that counts the seconds in which it steps."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.stepping = 0.0

    @property
    def busy(self) -> bool:
        return self._engine.busy

    def add(self, search: SearchId, plan: Plan) -> None:
        self._engine.add(search, plan)

    def drop(self, search: SearchId) -> None:
        self._engine.drop(search)

    def step(self) -> Any:
        start = time.perf_counter()
        try:
            return self._engine.step()
        finally:
            self.stepping += time.perf_counter() - start


def waiting(
    model: Model, *, prompts: int, n: int, iterations: int, batch: int, tokens: int
) -> dict[str, Any]:
    """Batches of prompts one after the other, as ``align`` runs them; the share of idle time."""
    return asyncio.run(_waiting(model, prompts, n, iterations, batch, tokens))


async def _waiting(
    model: Model, prompts: int, n: int, iterations: int, batch: int, tokens: int
) -> dict[str, Any]:
    items = mixed(prompts, model.tokenizer)
    params, service = AISP(n=n, iterations=iterations), asyncio.Lock()
    wall = stepping = scoring = 0.0

    async def judge(search: SearchId, rollouts: Rollouts) -> Scored:
        nonlocal scoring
        texts = texts_of(model, rollouts)
        async with service:
            await asyncio.sleep(rollouts.decode_seconds)
        scoring += rollouts.decode_seconds
        rewards = torch.tensor([float(len(set(text))) for text in texts], dtype=torch.float64)
        return Scored(texts, rewards, rollouts.decode_seconds)

    def on_end(search: SearchId, outcome: Outcome) -> None:
        if outcome.ending != "done":
            raise RuntimeError(f"{search}: {outcome.error}")

    for first in range(0, len(items), batch):
        engine = model.engine()
        clocked = _Clocked(engine)
        searches = {}
        for item in items[first : first + batch]:
            name = item.id or ""
            engine.admit(name, encode(model.tokenizer, item))
            shape = Shape(tokens, model.dim, tokens, 0, name)
            searches[SearchId(name)] = Search(METHODS["aisp"], params, shape)
        start = time.perf_counter()
        await run(searches, clocked, judge, on_iteration=lambda *_: "continue", on_end=on_end)
        wall += time.perf_counter() - start
        stepping += clocked.stepping
    return {
        "wall_seconds": wall,
        "stepping_seconds": stepping,
        "reward_seconds": scoring,
        "idle_share": 1 - stepping / wall,
    }
