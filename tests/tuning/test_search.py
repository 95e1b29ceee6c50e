"""Which parameters are tried, what is given up, and what is never run twice."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from prelogit.core.errors import InputError
from prelogit.evaluation.arms import arm_of, arms_of_file
from prelogit.evaluation.store import Run, Store, Task
from prelogit.tuning.report import table_of, tuned, write_tuned
from prelogit.tuning.search import by_grid, by_optuna, grid_arms
from prelogit.tuning.space import axis_of
from prelogit.tuning.trials import Bench
from tests.evaluation.made import SETUP, entry, run_of

ENTRIES = [entry(str(place)) for place in range(16)]
START = arm_of("aisp:proposal=mean,n=2,iterations=1,alpha=0.5")
GRID = [axis_of("sigma2=0.1,0.5,0.9"), axis_of("alpha=0.5,0.9")]


class Searched:
    """Answers a search at once: a prompt's reward is highest at sigma2 0.3 and alpha 0.9."""

    def __init__(self) -> None:
        self.count = 0
        self.dies_after: int | None = None
        self.fails = ""

    def __call__(self, task: Task, on_run: Callable[[Run], None]) -> None:
        for one in task.entries:
            if self.count == self.dies_after:
                raise KeyboardInterrupt
            self.count += 1
            fields = task.arm.fields
            place = int(str(one.item.id))
            reward = place % 3 + fields["alpha"] - abs(fields["sigma2"] - 0.3)
            bad = self.fails and self.fails in task.arm.label and place == 3
            changes = {"status": "failed", "error": "too long"} if bad else {}
            on_run(run_of(task, one, [[reward - 1.0, reward]], **changes))


@pytest.fixture
def searched() -> Searched:
    return Searched()


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store(tmp_path, SETUP) as found:
        yield found


@pytest.fixture
def bench(store: Store, searched: Searched) -> Bench:
    return Bench(searched, store, "relevance", [0, 1], ENTRIES, START)


def test_a_grid_tries_everything_once_and_begins_with_the_method_as_it_is(
    bench: Bench, searched: Searched
) -> None:
    trials = list(by_grid(bench, GRID))
    assert [trial.number for trial in trials] == list(range(6))
    assert trials[0].values == {}
    assert [trial.arm.key for trial in trials] == [arm.key for arm in grid_arms(START, GRID)]
    assert searched.count == 6 * 16 * 2
    found = tuned(trials)
    assert found.best is not None
    assert dict(found.best.values) == {"sigma2": 0.1, "alpha": 0.9}
    assert found.minus_start is not None
    assert found.minus_start.mean == pytest.approx(0.4)


def test_optuna_comes_near_the_best_and_gives_up_what_is_bad(
    bench: Bench, searched: Searched
) -> None:
    axes = [axis_of("sigma2=0.01..2"), axis_of("alpha=0.5..0.95")]
    trials = list(by_optuna(bench, axes, 30, prune_after=0.25, seed=0))
    assert len(trials) == 31
    assert len({trial.arm.key for trial in trials}) == 31
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(4 <= len({run.prompt for run in trial.runs}) < 16 for trial in pruned)
    assert searched.count == sum(len(trial.runs) for trial in trials)
    found = tuned(trials)
    assert found.best is not None
    assert found.best.values["sigma2"] == pytest.approx(0.3, abs=0.1)
    assert found.best.values["alpha"] > 0.85


def test_nothing_is_given_up_before_its_share_of_the_prompts(bench: Bench) -> None:
    axes = [axis_of("sigma2=0.01..2")]
    trials = list(by_optuna(bench, axes, 15, prune_after=0.75, seed=0))
    pruned = [trial for trial in trials if trial.state == "pruned"]
    assert pruned
    assert all(len({run.prompt for run in trial.runs}) >= 12 for trial in pruned)
    whole = list(by_optuna(bench, axes, 15, prune_after=1.0, seed=0))
    assert {trial.state for trial in whole} == {"complete"}


def test_optuna_ends_when_all_choices_were_tried(bench: Bench) -> None:
    trials = list(by_optuna(bench, GRID, 100, prune_after=1.0, seed=0))
    assert len(trials) == 6


@pytest.mark.parametrize("search", ["grid", "optuna"])
def test_a_search_that_was_cut_off_comes_to_the_same_trials(
    tmp_path: Path, searched: Searched, search: str
) -> None:
    def run(folder: Path) -> list[tuple[str, str, str]]:
        with Store(folder, SETUP) as store:
            bench = Bench(searched, store, "relevance", [0], ENTRIES, START)
            axes = [axis_of("sigma2=0.01..2")] if search == "optuna" else GRID
            found = (
                by_optuna(bench, axes, 12, prune_after=0.25, seed=3)
                if search == "optuna"
                else by_grid(bench, axes)
            )
            return [(trial.arm.key, trial.state, str(trial.reward)) for trial in found]

    whole = run(tmp_path / "whole")
    needed, searched.count = searched.count, 0
    for place in (5, 40, 70):
        searched.dies_after = place
        with pytest.raises(KeyboardInterrupt):
            run(tmp_path / "cut")
    searched.dies_after = None
    assert run(tmp_path / "cut") == whole
    assert searched.count == needed


def test_a_trial_with_a_failed_prompt_is_not_chosen(bench: Bench, searched: Searched) -> None:
    searched.fails = "sigma2=0.1,alpha=0.9"
    trials = list(by_grid(bench, GRID))
    failed = [trial for trial in trials if trial.state == "failed"]
    assert [dict(trial.values) for trial in failed] == [{"sigma2": 0.1, "alpha": 0.9}]
    found = tuned(trials)
    assert found.best is not None
    assert dict(found.best.values) == {"sigma2": 0.5, "alpha": 0.9}
    again = list(by_optuna(bench, GRID, 6, prune_after=1.0, seed=0))
    assert [trial.state for trial in again].count("failed") == 1


def test_the_table_and_the_file_say_what_came_out(bench: Bench, tmp_path: Path) -> None:
    found = tuned(list(by_grid(bench, GRID)))
    table = table_of(found)
    assert list(table.columns[:5]) == ["trial", "sigma2", "alpha", "reward", "minus trial 0"]
    assert [row[1:3] for row in table.rows[:2]] == [["0.1", "0.9"], ["0.5", "0.9"]]
    assert "confirm it on others" in table.note
    assert write_tuned(found, tmp_path) == ["trials.md", "trials.csv", "best.json"]
    (arm,) = arms_of_file(tmp_path / "best.json")
    assert found.best is not None
    assert arm.params == found.best.arm.params


def test_a_best_that_may_be_chance_is_called_so(store: Store) -> None:
    def noisy(task: Task, on_run: Callable[[Run], None]) -> None:
        for one in task.entries:
            even = int(str(one.item.id)) % 2 == 0
            gain = 1.0 if task.arm.fields["sigma2"] == 0.9 and even else 0.0
            loss = 0.9 if task.arm.fields["sigma2"] == 0.9 and not even else 0.0
            on_run(run_of(task, one, [[gain - loss]]))

    bench = Bench(noisy, store, "relevance", [0], ENTRIES, START)
    found = tuned(list(by_grid(bench, [axis_of("sigma2=0.9")])))
    assert found.best is not None
    assert found.best.number == 1
    assert "may be chance" in found.verdict
    same = tuned(list(by_grid(bench, [axis_of("sigma2=0.5")])))
    assert "as it was given" in same.verdict


def test_without_optuna_the_cure_is_told(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match="--search grid"):
        list(by_optuna(bench, GRID, 3, prune_after=0.5, seed=0))
