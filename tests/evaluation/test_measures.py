"""Rewards that only look at the answers that were chosen."""

from __future__ import annotations

from pathlib import Path

from prelogit.evaluation.arms import arm_of
from prelogit.evaluation.measures import score_chosen, unscored
from prelogit.evaluation.store import Store, Task
from tests.evaluation.made import SETUP, entry, run_of
from tests.tiny import scoring

ENTRIES = [entry("a"), entry("bb")]


def test_each_answer_is_scored_once_and_not_by_the_reward_that_steered(tmp_path: Path) -> None:
    tasks = [Task(name, arm_of("bon"), 0, ENTRIES) for name in ("relevance", "length")]
    asked = []

    def length(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
        asked.extend(zip((c[-1]["content"] for c in conversations), responses, strict=True))
        return [float(len(text)) for text in responses]

    with Store(tmp_path, SETUP) as store:
        for task in tasks:
            for one in ENTRIES:
                store.add(run_of(task, one, [[1.0]]))
        for _ in range(2):
            score_chosen("length", scoring(length), tasks, store)
        assert asked == [("what is a?", "about a"), ("what is bb?", "about bb")]
        run = store.run(tasks[0], ENTRIES[1])
        assert run is not None
        assert store.measure(run, "length") == 8.0
        assert unscored("length", tasks, store) == []
        assert len(unscored("relevance", tasks, store)) == 2
