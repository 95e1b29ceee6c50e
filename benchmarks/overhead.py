"""One AISP iteration against best of n with as many samples: what the method itself costs.

Both ask for a plan, decode it in the same engine, and are told the rewards, trace row included.
AISP's mean has moved by then, so that its products u . v are counted too.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch

from benchmarks import models
from benchmarks.rounds import Stopwatch, Timing, paired, play
from benchmarks.steered import SIGMA2, prefill, run_plan
from prelogit.engine.engine import Engine
from prelogit.engine.load import Model
from prelogit.methods import METHODS
from prelogit.search.course import Course, Scored, Search
from prelogit.search.plan import SearchId, Shape
from prelogit.wire.params import AISP, BestOfN


class _Clocked:
    """Rounds of one search, each decoded to its end, with times of the parts."""

    def __init__(self, model: Model, engine: Engine, course: Course) -> None:
        self._model, self._engine, self._course = model, engine, course

    def round(self, watch: Stopwatch, name: str) -> None:
        """Laps NAME (a whole round), "NAME tell" and "NAME noise" (inside it)."""
        with watch.lap(name), _noise_clocked(watch, f"{name} noise"):
            plan = self._course.ask()
            if plan is None:
                raise RuntimeError("the search is over")
            rollouts = run_plan(self._engine, SearchId("p"), plan)
            texts = [self._model.tokenizer.decode(ids) for ids in rollouts.token_ids.tolist()]
            rewards = torch.tensor([float(len(set(text))) for text in texts], dtype=torch.float64)
            with watch.lap(f"{name} tell"):
                self._course.tell(rollouts, Scored(texts, rewards, 0.0))


@contextmanager
def _noise_clocked(watch: Stopwatch, name: str) -> Iterator[None]:
    """Adds up the time of all calls by which the engine draws normal numbers."""
    users = [
        module
        for path, module in list(sys.modules.items())
        if path.startswith("prelogit.engine.") and hasattr(module, "normal_rows")
    ]
    drawn: Callable[..., Any] = users[0].normal_rows
    spent = [0.0, 0.0]

    def clocked(*args: Any, **kwargs: Any) -> Any:
        wall, cpu = time.perf_counter(), time.process_time()
        try:
            return drawn(*args, **kwargs)
        finally:
            spent[0] += time.perf_counter() - wall
            spent[1] += time.process_time() - cpu

    for module in users:
        module.normal_rows = clocked  # type: ignore[attr-defined]
    try:
        yield
    finally:
        for module in users:
            module.normal_rows = drawn  # type: ignore[attr-defined]
        watch.record(name, Timing(*spent))


def overhead(model: Model, *, length: int, n: int, tokens: int, rounds: int) -> dict[str, Any]:
    """The ratio of the two, and the shares of noise and of the update in an AISP iteration."""
    model = models.endless(model)
    engine = model.engine()
    ids = models.prompt_ids(model.module.config.get_text_config().vocab_size, length)
    prefill(engine, "p", ids, model.dim)
    shape = Shape(tokens, model.dim, tokens, 0, "p")

    def search(params: AISP | BestOfN) -> _Clocked:
        return _Clocked(model, engine, Course(Search(METHODS[params.name], params, shape)))

    aisp = search(AISP(n=n, iterations=rounds + 1, sigma2=SIGMA2))
    aisp.round(Stopwatch(), "aisp")  # from here on its mean is not zero
    search(BestOfN(n=n, noise="gaussian", sigma2=SIGMA2)).round(Stopwatch(), "bon")

    def bon_round(watch: Stopwatch) -> None:
        search(BestOfN(n=n, noise="gaussian", sigma2=SIGMA2)).round(watch, "bon")

    watch = play([bon_round, lambda watch: aisp.round(watch, "aisp")], rounds)
    laps = watch.laps
    return {
        "laps": laps,
        "ratio": paired(laps["aisp"], laps["bon"]),
        "noise_share": paired(laps["aisp noise"], laps["aisp"]),
        "update_share": paired(laps["aisp tell"], laps["aisp"]),
    }
