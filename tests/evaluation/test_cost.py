"""What an evaluation will cost."""

from __future__ import annotations

from pathlib import Path

from prelogit.evaluation.arms import arm_of
from prelogit.evaluation.cost import Rate, cost_of
from prelogit.evaluation.running import tasks_of
from prelogit.evaluation.store import Store
from tests.evaluation.made import SETUP, entry, run_of

ENTRIES = [entry("a"), entry("b"), entry("c")]
TASKS = tasks_of(
    ["relevance"], [arm_of("aisp:n=2,iterations=1"), arm_of("bon:n=8")], [0, 1], ENTRIES
)


def test_before_the_first_run_it_is_a_bound(tmp_path: Path) -> None:
    with Store(tmp_path, SETUP) as store:
        assert cost_of(TASKS, store, 10) == (12, 72, 720, None, True)
        trial = Rate(tokens=10.0, seconds=0.5, is_bound=True)
        assert cost_of(TASKS, store, 10, trial) == (12, 72, 720, 36.0, True)


def test_later_it_is_what_is_missing_at_the_rate_so_far(tmp_path: Path) -> None:
    with Store(tmp_path, SETUP) as store:
        for one in ENTRIES:  # 4 samples each, 2 tokens and half a second a sample
            store.add(run_of(TASKS[0], one, [[1.0, 2.0], [1.0, 2.0]]))
        trial = Rate(tokens=10.0, seconds=9.0, is_bound=True)
        assert cost_of(TASKS, store, 10, trial) == (9, 60, 120, 30.0, False)
