"""Evaluations whose rewards are written down instead of searched."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from prelogit.core.records import Iteration, Kl, ModelRef, Result, Seconds
from prelogit.data.entry import Entry
from prelogit.evaluation.arms import Arm, arm_of
from prelogit.evaluation.results import Results
from prelogit.evaluation.store import Run, Store, Task
from prelogit.wire.jobs import PromptItem

SETUP = {"model": "tiny", "max_new_tokens": 4}
# label -> prompt id -> the rewards of each round
Rewards = Mapping[str, Mapping[str, Sequence[Sequence[float]]]]


def entry(name: str, text: str | None = None) -> Entry:
    return Entry(PromptItem(id=name, prompt=text or f"what is {name}?"))


def rows(rewards: Sequence[Sequence[float]]) -> list[Iteration]:
    """Rounds that took two tokens a sample, and a second each."""
    found: list[Iteration] = []
    for k, scored in enumerate(rewards, start=1):
        best = max(scored)
        found.append(
            Iteration(
                k=k,
                mean=sum(scored) / len(scored),
                std=0.0,
                best=best,
                best_so_far=max([best, *(row.best for row in found)]),
                rewards=tuple(scored),
                weights=tuple(1 / len(scored) for _ in scored),
                finish=tuple("stop" for _ in scored),
                tokens=2 * len(scored),
                seconds=Seconds(decode=0.75, reward=0.25),
            )
        )
    return found


def run_of(task: Task, one: Entry, rewards: Sequence[Sequence[float]], **changes: Any) -> Run:
    made = rows(rewards)
    fields: dict[str, Any] = {
        "prompt_id": one.item.id,
        "response": f"about {one.item.id}",
        "reward": max(row.best for row in made),
        "samples": sum(len(row.rewards) for row in made),
        "generated_tokens": sum(row.tokens for row in made),
        "seconds": sum((row.seconds for row in made), Seconds()),
        "seed": task.seed,
        "diversity": 0.5,
        "coherence": 0.25,
        "model": ModelRef(name="tiny", fingerprint="f1"),
        "reward_model": ModelRef(name=task.reward),
        **changes,
    }
    return task.run(one, Result(**fields), made)


def results_of(
    folder: Path,
    rewards: Rewards,
    *,
    cost: Any = "samples",
    seeds: Sequence[int] = (0,),
    steered_by: str = "relevance",
    kl: Mapping[str, float] | None = None,
) -> Results:
    """An evaluation in a folder; the methods are the labels, the first best of n the reference."""
    arms = [arm_of(label) for label in rewards]
    names = list(dict.fromkeys(name for by_prompt in rewards.values() for name in by_prompt))
    entries = [entry(name) for name in names]
    with Store(folder, SETUP) as store:
        for arm in arms:
            for seed in seeds:
                task = Task(steered_by, arm, seed, entries)
                for one in store.missing(task):
                    scored = rewards[arm.label].get(str(one.item.id))
                    if scored is not None:
                        exact = Kl(token_exact=kl[arm.label]) if kl else Kl()
                        store.add(run_of(task, one, scored, kl=exact))
    bons = [arm for arm in arms if arm.params.name == "bon"]
    return Results(store, steered_by, arms, seeds, entries, bons, (), cost)


def arm_named(results: Results, label: str) -> Arm:
    return next(arm for arm in results.arms if arm.label == label)
