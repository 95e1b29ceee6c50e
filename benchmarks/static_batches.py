"""Real answers of unlike length: our engine against itself run in static batches.

A static batch is what a loop over ``generate`` makes: b plans start together, a sample that has
ended keeps its place until the longest has ended, and only then the next plans start. It is run on
the same engine: with end tokens off, and each plan's limit set to the longest answer of its batch,
which is known because the noise, and so every answer, is the same in both.
"""

from __future__ import annotations

from typing import Any

from benchmarks.models import endless
from benchmarks.prompt_set import mixed
from benchmarks.rounds import Stopwatch, paired, play
from benchmarks.steered import gaussian_plan
from prelogit.engine.engine import Engine
from prelogit.engine.load import Model
from prelogit.search.plan import Rollouts, SearchId
from prelogit.text import encode

Lengths = dict[tuple[str, int], list[int]]


def _admit(engine: Engine, prompts: dict[str, list[int]]) -> None:
    for name, token_ids in prompts.items():
        engine.admit(name, token_ids)


def _lengths(rollouts: object) -> list[int]:
    if not isinstance(rollouts, Rollouts):
        raise RuntimeError(f"the engine gave up: {rollouts}")
    found: list[int] = rollouts.length.tolist()
    return found


def flowing(
    model: Model, prompts: dict[str, list[int]], n: int, iterations: int, tokens: int, open_: int
) -> Lengths:
    """Our way: at most ``open_`` prompts have a plan; each starts its next when its last has ended."""
    engine = model.engine()
    _admit(engine, prompts)
    waiting, lengths = list(prompts), {}
    iteration = dict.fromkeys(prompts, 1)

    def start(name: str) -> None:
        plan = gaussian_plan(n, tokens, model.dim, prompt=name, iteration=iteration[name])
        engine.add(SearchId(name), plan)

    for _ in range(min(open_, len(waiting))):
        start(waiting.pop(0))
    while engine.busy:
        for search, rollouts in engine.step():
            name = search.prompt
            lengths[name, iteration[name]] = _lengths(rollouts)
            iteration[name] += 1
            if iteration[name] <= iterations:
                start(name)
                continue
            engine.release(name)
            if waiting:
                start(waiting.pop(0))
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
                for _, rollouts in engine.step():
                    spent += sum(_lengths(rollouts))
        for name in together:
            engine.release(name)
    return spent


def compare(
    model: Model, *, prompts: int, n: int, iterations: int, batch: int, tokens: int, rounds: int
) -> dict[str, Any]:
    """Times of static over ours; "alone" is ours with no more than b prompts at a time."""
    items = mixed(prompts, model.tokenizer)
    token_ids = {one.id or "": encode(model.tokenizer, one) for one in items}
    # Which answers there are; also the warm-up.
    lengths = flowing(model, token_ids, n, iterations, tokens, prompts)
    rows: list[int] = []

    def ours_lap(watch: Stopwatch, name: str, open_: int) -> None:
        with watch.lap(name):
            flowing(model, token_ids, n, iterations, tokens, open_)

    def static_lap(watch: Stopwatch) -> None:
        with watch.lap("static"):
            rows.append(static(model, token_ids, n, iterations, batch, lengths))

    watch = play(
        [
            lambda watch: ours_lap(watch, "ours", prompts),
            lambda watch: ours_lap(watch, "alone", batch),
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
