"""What has been run is kept whole, and never run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from prelogit.core.errors import InputError
from prelogit.core.records import ModelRef
from prelogit.evaluation.arms import arm_of
from prelogit.evaluation.store import Store, Task
from tests.evaluation.made import SETUP, entry, run_of

ENTRIES = [entry("a"), entry("b")]
TASK = Task("relevance", arm_of("aisp:n=2"), 0, ENTRIES)


def test_runs_measures_and_jobs_are_there_again(tmp_path: Path) -> None:
    with Store(tmp_path, SETUP) as store:
        run = run_of(TASK, ENTRIES[0], [[1.0, 2.0]])
        store.add(run)
        store.add_measure(run, "length", 3.5)
        store.add_job(task=TASK.key, job="job_1", over=False)
    with Store(tmp_path, SETUP) as again:
        assert again.run(TASK, ENTRIES[0]) == run
        assert again.missing(TASK) == [ENTRIES[1]]
        assert again.measure(run, "length") == 3.5
        assert again.measure(run, "other") is None
        assert again.jobs == [{"task": TASK.key, "job": "job_1", "over": False}]
        assert again.id == store.id


def test_weights_are_not_kept_but_rewards_are(tmp_path: Path) -> None:
    run = run_of(TASK, ENTRIES[0], [[1.0, 2.0]])
    assert run.rows[0].rewards == (1.0, 2.0)
    assert run.rows[0].weights == ()


@pytest.mark.parametrize(
    "other",
    [
        TASK._replace(seed=1),
        TASK._replace(reward="length"),
        TASK._replace(arm=arm_of("aisp:n=3")),
        TASK._replace(entries=[entry("a", "another text")]),
        TASK._replace(entries=[entry("c", "what is a?")]),  # the id is part of the noise's key
    ],
)
def test_another_seed_reward_method_or_prompt_is_run(tmp_path: Path, other: Task) -> None:
    with Store(tmp_path, SETUP) as store:
        store.add(run_of(TASK, ENTRIES[0], [[1.0]]))
        assert store.missing(other._replace(entries=other.entries[:1])) == other.entries[:1]


def test_a_line_that_a_kill_has_torn_is_cut_off(tmp_path: Path) -> None:
    with Store(tmp_path, SETUP) as store:
        for one in ENTRIES:
            store.add(run_of(TASK, one, [[1.0]]))
    path = tmp_path / "runs.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole[:-5])
    with Store(tmp_path, SETUP) as store:
        assert store.missing(TASK) == [ENTRIES[1]]
        store.add(run_of(TASK, ENTRIES[1], [[1.0]]))
    assert path.read_bytes() == whole


def test_another_setup_is_refused(tmp_path: Path) -> None:
    Store(tmp_path, SETUP).close()
    with pytest.raises(InputError, match="max_new_tokens 4, not 8"):
        Store(tmp_path, {**SETUP, "max_new_tokens": 8})
    Store(tmp_path, SETUP).close()


def test_runs_of_another_model_or_reward_do_not_come_in(tmp_path: Path) -> None:
    with Store(tmp_path, SETUP) as store:
        store.add(run_of(TASK, ENTRIES[0], [[1.0]]))
        for changed in ("model", "reward_model"):
            with pytest.raises(InputError, match="do not compare"):
                store.add(run_of(TASK, ENTRIES[1], [[1.0]], **{changed: ModelRef(name="x")}))
        assert store.missing(TASK) == [ENTRIES[1]]


def test_one_folder_is_for_one_process_at_a_time(tmp_path: Path) -> None:
    with Store(tmp_path, SETUP), pytest.raises(InputError, match="in use"):
        Store(tmp_path, SETUP)
    Store(tmp_path, SETUP).close()


def test_a_folder_that_cannot_be_one_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="cannot be used"):
        Store(tmp_path / "file", SETUP)


def test_a_run_without_an_answer_says_why(tmp_path: Path) -> None:
    assert run_of(TASK, ENTRIES[0], [[1.0]]).failure is None
    failed = run_of(TASK, ENTRIES[0], [[1.0]], status="failed", error="too long")
    assert failed.failure == "too long"
    assert run_of(TASK, ENTRIES[0], [[1.0]], status="cancelled").failure == "it is cancelled"
