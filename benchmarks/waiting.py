"""How long the engine idles for rewards that take as long as decoding did.

The reward is one serial service elsewhere: it answers one plan after the other, each in exactly the
time that decoding this plan took, and uses no CPU here.
"""

from __future__ import annotations

import asyncio
import time
from typing import Any

import torch

from benchmarks.clocked import Clocked
from benchmarks.prompt_set import mixed
from prelogit.engine.load import Model
from prelogit.methods import METHODS
from prelogit.search.course import Outcome, Scored, Search
from prelogit.search.driver import run
from prelogit.search.plan import Rollouts, SearchId, Shape
from prelogit.search.together import Together
from prelogit.solve import texts_of
from prelogit.text import encode
from prelogit.wire.params import AISP


def waiting(
    model: Model, *, prompts: int, n: int, iterations: int, batch: int, tokens: int
) -> dict[str, Any]:
    """AISP on all prompts, b at a time as ``align`` runs them; the share of idle time."""
    params, service, scoring = AISP(n=n, iterations=iterations), asyncio.Lock(), [0.0]
    engine = model.engine()
    clocked: Any = Clocked(engine)
    searches = {}
    for item in mixed(prompts, model.tokenizer):
        name = item.id or ""
        engine.admit(name, encode(model.tokenizer, item))
        shape = Shape(tokens, model.dim, tokens, 0, name)
        searches[SearchId(name)] = Search(METHODS["aisp"], params, shape)

    async def judge(search: SearchId, rollouts: Rollouts) -> Scored:
        texts = texts_of(model, rollouts)
        async with service:
            await asyncio.sleep(rollouts.decode_seconds)
        scoring[0] += rollouts.decode_seconds
        rewards = torch.tensor([float(len(set(text))) for text in texts], dtype=torch.float64)
        return Scored(texts, rewards, rollouts.decode_seconds)

    def on_end(search: SearchId, outcome: Outcome) -> None:
        engine.release(search.prompt)
        if outcome.ending != "done":
            raise RuntimeError(f"{search}: {outcome.error}")

    start = time.perf_counter()
    asyncio.run(
        run(
            searches,
            clocked,
            judge,
            together=Together(batch, batch * n),
            on_iteration=lambda *_: "continue",
            on_end=on_end,
        )
    )
    wall = time.perf_counter() - start
    return {
        "wall_seconds": wall,
        "stepping_seconds": clocked.stepping,
        "reward_seconds": scoring[0],
        "idle_share": 1 - clocked.stepping / wall,
    }
