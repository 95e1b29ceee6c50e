"""Real answers of unlike length: our engine against itself run in static batches.

A static batch is what a loop over ``generate`` makes: b plans start together, a sample that has
ended keeps its place until the longest has ended, and only then the next plans start. It is run on
the same engine: with end tokens off, and each plan's limit set to the longest answer of its batch,
which is known because the noise, and so every answer, is the same in both.
"""

from __future__ import annotations

import asyncio
from typing import Any

import torch

from benchmarks.models import endless
from benchmarks.prompt_set import unequal
from benchmarks.repeated import REPEATED, RepeatedParams
from benchmarks.rounds import Stopwatch, paired, play
from benchmarks.steered import gaussian_plan
from prelogit.engine.engine import Engine
from prelogit.engine.load import Model
from prelogit.search.course import Outcome, Scored, Search
from prelogit.search.driver import run
from prelogit.search.plan import Rollouts, SearchId, Shape
from prelogit.search.together import Together
from prelogit.text import encode

Lengths = dict[tuple[str, int], list[int]]


def _admit(engine: Engine, prompts: dict[str, list[int]]) -> None:
    for name, token_ids in prompts.items():
        engine.admit(name, token_ids)


def flowing(
    model: Model,
    prompts: dict[str, list[int]],
    n: int,
    iterations: int,
    tokens: int,
    together: Together,
) -> Lengths:
    """Our way, through the driver: a prompt starts its next round when its last has ended."""
    engine, lengths = model.engine(), {}
    _admit(engine, prompts)
    params = RepeatedParams(n, iterations)
    searches = {
        SearchId(name): Search(REPEATED, params, Shape(tokens, model.dim, tokens, 0, name))
        for name in prompts
    }
    rounds = dict.fromkeys(prompts, 0)

    async def judge(search: SearchId, rollouts: Rollouts) -> Scored:
        rounds[search.prompt] += 1
        lengths[search.prompt, rounds[search.prompt]] = rollouts.length.tolist()
        return Scored([""] * n, torch.zeros(n, dtype=torch.float64), 0.0)

    def on_end(search: SearchId, outcome: Outcome) -> None:
        engine.release(search.prompt)
        if outcome.ending != "done":
            raise RuntimeError(f"{search}: {outcome.error}")

    asyncio.run(
        run(
            searches,
            engine,
            judge,
            together=together,
            on_iteration=lambda *_: "continue",
            on_end=on_end,
        )
    )
    return lengths


def static(
    model: Model,
    prompts: dict[str, list[int]],
    n: int,
    iterations: int,
    batch: int,
    lengths: Lengths,
) -> int:
    """b prompts at a time, iteration by iteration, every row to the batch's longest answer.

    Returns: rows times steps.
    """
    engine, spent, names = endless(model).engine(), 0, list(prompts)
    _admit(engine, prompts)
    for first in range(0, len(names), batch):
        together = names[first : first + batch]
        for iteration in range(1, iterations + 1):
            longest = max(max(lengths[name, iteration]) for name in together)
            for name in together:
                plan = gaussian_plan(n, longest, model.dim, prompt=name, iteration=iteration)
                engine.add(SearchId(name), plan)
            while engine.busy:
                for search, rollouts in engine.step():
                    if not isinstance(rollouts, Rollouts):
                        raise RuntimeError(f"{search}: {rollouts}")
                    spent += int(rollouts.length.sum())
        for name in together:
            engine.release(name)
    return spent


def compare(
    model: Model, *, prompts: int, n: int, iterations: int, batch: int, tokens: int, rounds: int
) -> dict[str, Any]:
    """Times of static over ours; "alone" is ours with never more than b prompts at a time."""
    items = unequal(prompts)
    token_ids = {one.id or "": encode(model.tokenizer, one) for one in items}
    refilled, alone = Together(batch, batch * n), Together(batch, 0)
    # Which answers there are; also the warm-up.
    lengths = flowing(model, token_ids, n, iterations, tokens, refilled)
    rows: list[int] = []

    def ours_lap(watch: Stopwatch, name: str, together: Together) -> None:
        with watch.lap(name):
            flowing(model, token_ids, n, iterations, tokens, together)

    def static_lap(watch: Stopwatch) -> None:
        with watch.lap("static"):
            rows.append(static(model, token_ids, n, iterations, batch, lengths))

    watch = play(
        [
            lambda watch: ours_lap(watch, "ours", refilled),
            lambda watch: ours_lap(watch, "alone", alone),
            static_lap,
        ],
        rounds,
    )
    laps, answered = watch.laps, [length for found in lengths.values() for length in found]
    return {
        "laps": laps,
        "mean_length": sum(answered) / len(answered),
        "tokens": tokens,
        "rows_static_over_needed": rows[0] / sum(answered),
        "ratio": paired(laps["static"], laps["ours"]),
        "ratio_alone": paired(laps["static"], laps["alone"]),
    }
