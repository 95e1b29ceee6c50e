"""Batched AISP against best of n on prompts of mixed length, which nobody has sorted.

All go through ``prelogit.align`` with the same samples a prompt and the same batch of prompts, and
take turns. The default search is held against both forms of best of n, the search with one mean against
the form whose noise it has. Answers end where they end, and the methods' answers differ in length:
time per candidate mixes speed with length, so time per generated token is the fair measure. The
mean's time includes the draw that measures its KL, one sample a prompt that best of n does not have.
"""

from __future__ import annotations

from typing import Any

import torch

from benchmarks.prompt_set import mixed
from benchmarks.rounds import Stopwatch, Timing, play
from prelogit.align import AlignedResult, align
from prelogit.core.records import ModelRef
from prelogit.engine.load import Model
from prelogit.rewards.protocol import Scores
from prelogit.wire.params import AISP, BestOfN

PAIRS = (("aisp", "bon"), ("aisp", "bon:gaussian"), ("aisp:mean", "bon:gaussian"))


async def variety(conversations: list[list[dict[str, str]]], responses: list[str]) -> Scores:
    """A reward that costs nothing: different letters, and a little for length."""
    values = [len(set(text)) + 0.001 * len(text) for text in responses]
    rewards = torch.tensor(values, dtype=torch.float64)
    return Scores(rewards, ModelRef(name="variety"), 0, 1, 0.0)


def batched(
    model: Model, *, prompts: int, n: int, iterations: int, batch: int, tokens: int, chunks: int
) -> dict[str, Any]:
    """Prompts in chunks that both methods take in turn; ratios of all chunks together."""
    method = AISP(n=n, iterations=iterations, batch_size=batch)
    arms: dict[str, AISP | BestOfN] = {
        "bon": BestOfN(n=method.samples, batch_size=batch),
        "bon:gaussian": BestOfN(n=method.samples, noise="gaussian", batch_size=batch),
        "aisp": method,
        "aisp:mean": AISP(n=n, iterations=iterations, batch_size=batch, proposal="mean"),
    }
    items = mixed(prompts, model.tokenizer)
    size = -(-prompts // chunks)
    parts = [items[i : i + size] for i in range(0, prompts, size)]
    done: dict[str, list[list[AlignedResult]]] = {name: [] for name in arms}

    def run(name: str, watch: Stopwatch) -> None:
        part = parts[len(done[name])]
        with watch.lap(name):
            results = align(model, part, variety, method=arms[name], max_new_tokens=tokens)
        if any(result.status != "succeeded" for result in results):
            raise RuntimeError(str([result.error for result in results]))
        done[name].append(results)

    align(model, items[:1], variety, method=AISP(n=n, iterations=1), max_new_tokens=4)
    watch = play([lambda watch, name=name: run(name, watch) for name in arms], len(parts))
    whole = {name: sum(watch.laps[name], Timing(0.0, 0.0)) for name in done}
    results = {name: [one for part in found for one in part] for name, found in done.items()}
    candidates = {name: sum(one.samples for one in found) for name, found in results.items()}
    generated = {
        name: sum(one.generated_tokens for one in found) for name, found in results.items()
    }

    def over(one: str, other: str, counts: dict[str, int]) -> Timing:
        return whole[one].times(1 / counts[one]).over(whole[other].times(1 / counts[other]))

    return {
        "laps": watch.laps,
        "candidates": candidates,
        "tokens": generated,
        "ratios": [
            {
                "method": one,
                "baseline": other,
                "a token": over(one, other, generated),
                "a candidate": over(one, other, candidates),
            }
            for one, other in PAIRS
        ],
    }
