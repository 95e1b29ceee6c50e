"""The rewards of this process: loaded in the background, found by name."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from concurrent.futures import ThreadPoolExecutor
from difflib import get_close_matches
from typing import Any

from prelogit.core.errors import ModelError, PrelogitError
from prelogit.rewards.hosted.reward import HostedReward
from prelogit.wire.problem import FieldProblem, Problem
from prelogit.wire.scores import RewardInfo
from reward_service.batcher import Batcher
from reward_service.errors import ProblemError, make_problem
from reward_service.loading import load
from reward_service.memory import Memory
from reward_service.metrics import Metrics, Standing
from reward_service.settings import RewardSettings
from reward_service.specs import EnsembleSpec, Spec

log = logging.getLogger("prelogit.reward_service")

LOADING = "still loading"


class Hosting:
    """All rewards, each with a thread of its own that loads it and then scores."""

    def __init__(self, settings: RewardSettings, metrics: Metrics) -> None:
        self._settings = settings
        self._figures = {spec.name: metrics.of(spec.name) for spec in settings.rewards}
        self._specs: dict[str, Spec] = {spec.name: spec for spec in settings.rewards}
        self._batchers: dict[str, Batcher] = {}
        self._faults: dict[str, str] = {}
        self._threads: list[ThreadPoolExecutor] = []
        self._tasks: set[asyncio.Task[None]] = set()
        items = settings.reward_cache_items
        self._memory = Memory(items, self._remembered) if items else None
        metrics.watch(self._standing, lambda: len(self._memory or ()))

    def start(self) -> None:
        """Begins to load; returns at once."""
        self._begin(self._load_all())

    def stop(self) -> None:
        """Ends loading and scoring; a model that is computing finishes in its thread."""
        for task in self._tasks:
            task.cancel()
        for thread in self._threads:
            thread.shutdown(wait=False, cancel_futures=True)

    def names(self) -> list[str]:
        """Of all rewards, loaded or not."""
        return list(self._specs)

    def infos(self) -> list[RewardInfo]:
        """All rewards in the order of the settings; the fingerprint comes with the model."""
        return [self._info(spec) for spec in self._specs.values()]

    def faults(self) -> dict[str, str]:
        """Of each reward that cannot score (yet), why."""
        return {
            name: self._faults.get(name, LOADING)
            for name in self._specs
            if name not in self._batchers
        }

    def find(self, name: str | None) -> Batcher:
        """A reward that can score; without a name the only one.

        Raises: ProblemError: 422, unknown; 503, not loaded yet; 500, it cannot be loaded.
        """
        names = list(self._specs)
        if name is None and len(names) == 1:
            name = names[0]
        if name is None or name not in self._specs:
            raise ProblemError(_unknown(name, names))
        if name not in self._batchers:
            fault = self._faults.get(name)
            detail = f"the reward {name!r} cannot score: {fault or LOADING}"
            if fault is not None:  # it stays so until the service is started anew
                raise ProblemError(make_problem(500, detail))
            self._figures[name].refused.inc()
            raise ProblemError(make_problem(503, detail), retry=True)
        return self._batchers[name]

    async def _load_all(self) -> None:
        """One after the other: importing torch from several threads at once gains nothing.

        Ensembles come last, when their members are there.
        """
        for spec in sorted(self._specs.values(), key=lambda spec: isinstance(spec, EnsembleSpec)):
            thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix=f"reward-{spec.name}")
            self._threads.append(thread)
            try:
                hosted = await asyncio.get_running_loop().run_in_executor(
                    thread,
                    load,
                    spec,
                    self._settings.reward_threads,
                    self._members(spec),
                    self._memory,
                )
            except PrelogitError as error:
                log.exception("the reward %r cannot be loaded", spec.name)
                self._faults[spec.name] = str(error)
                continue
            except Exception:
                log.exception("the reward %r cannot be loaded", spec.name)
                self._faults[spec.name] = "it cannot be loaded; the reward service's log says why"
                continue
            log.info("the reward %r is loaded", spec.name)
            batcher = Batcher(
                hosted,
                thread,
                window_seconds=self._settings.reward_window_seconds,
                batch_items=self._settings.reward_batch_items,
                batch_characters=self._settings.reward_batch_characters,
                waiting_items=self._settings.reward_waiting_items,
                figures=self._figures[spec.name],
            )
            self._begin(batcher.run())
            self._batchers[spec.name] = batcher

    def _remembered(self, reward: str, count: int) -> None:
        self._figures[reward].hits.inc(count)

    def _standing(self) -> dict[str, Standing]:
        found = {name: self._batchers.get(name) for name in self._specs}
        return {
            name: Standing(batcher is not None, batcher.waiting if batcher is not None else 0)
            for name, batcher in found.items()
        }

    def _members(self, spec: Spec) -> dict[str, HostedReward]:
        """Those of an ensemble.

        Raises: ModelError: one is not loaded.
        """
        wanted = spec.members if isinstance(spec, EnsembleSpec) else ()
        for name in wanted:
            if name not in self._batchers:
                raise ModelError(f"its member {name!r} cannot score: {self._faults[name]}")
        return {name: self._batchers[name].hosted for name in wanted}

    def _begin(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _info(self, spec: Spec) -> RewardInfo:
        batcher = self._batchers.get(spec.name)
        if batcher is None:
            return RewardInfo(name=spec.name, kind=spec.kind, description=spec.description or "")
        hosted = batcher.hosted
        return RewardInfo(
            name=hosted.name,
            kind=hosted.kind,
            description=hosted.description,
            fingerprint=hosted.fingerprint,
            low=hosted.low,
            high=hosted.high,
        )


def _unknown(name: str | None, names: list[str]) -> Problem:
    if name is None:
        message = f"several rewards are hosted here: name one of {', '.join(names)}"
    else:
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}? " if near else ""
        message = f"unknown reward {name!r}: {hint}hosted here: {', '.join(names)}"
    field = FieldProblem(field="reward", message=message, allowed=names)
    return make_problem(422, message, errors=[field])
