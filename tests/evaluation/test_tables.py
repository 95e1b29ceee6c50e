"""The paper's tables, from rewards that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from prelogit.evaluation.estimate import Estimate
from prelogit.evaluation.store import Task
from prelogit.evaluation.table import Table
from prelogit.evaluation.tables import table1, table3, table5
from tests.evaluation.made import arm_named, results_of

AISP = "aisp:n=2,iterations=1"
REWARDS = {
    AISP: {"a": [[1.0, 2.0], [3.0, 2.0]], "b": [[5.0, 1.0], [0.0, 9.0]]},
    "bon:n=4": {"a": [[2.0, 1.0, 2.5, 0.0]], "b": [[7.0, 7.0, 7.0, 7.0]]},
}


def cells(table: Table, row: int) -> dict[str, object]:
    return dict(zip(table.columns, table.rows[row], strict=True))


def test_table_1_has_reward_margin_and_what_answers_are_like(tmp_path: Path) -> None:
    results = results_of(tmp_path, REWARDS, kl={AISP: 7.0, "bon:n=4": 0.0})
    found = cells(table1([results]), 0)
    assert found["steered by"] == "relevance"
    assert (found["method"], found["samples"], found["runs"]) == (AISP, 4, 2)
    assert found["reward"] == Estimate(6.0, pytest.approx(3.0), 2)
    assert found["minus bon:n=4"] == Estimate(pytest.approx(1.25), pytest.approx(0.75), 2)
    assert found["diversity"] == Estimate(0.5, 0.0, 2)
    assert found["coherence"] == Estimate(0.25, 0.0, 2)
    assert found["KL"] == Estimate(7.0, 0.0, 2)
    assert cells(table1([results]), 1)["minus bon:n=4"] is None


def test_table_1_has_a_column_for_each_measure_and_rows_for_each_reward(tmp_path: Path) -> None:
    results = results_of(tmp_path, REWARDS)
    task = Task("relevance", arm_named(results, AISP), 0, [])
    run = results.store.run(task, results.entries[0])
    assert run is not None
    results.store.add_measure(run, "length", 12.0)
    results = results._replace(measures=["length"])
    table = table1([results, results._replace(reward="length")])
    assert [row[0] for row in table.rows] == ["relevance"] * 2 + ["length"] * 2
    assert cells(table, 0)["length"] == Estimate(12.0, None, 1)
    assert cells(table, 1)["length"] is None
    assert cells(table, 2)["reward"] is None


def test_table_3_has_the_methods_that_differ_in_one_parameter(tmp_path: Path) -> None:
    rewards = {
        "aisp:n=2,lambda=0.3": {"a": [[1.0, 2.0]]},
        "aisp:n=2,lambda=0.5": {"a": [[1.0, 3.0]]},
        "aisp:n=4,alpha=0.5": {"a": [[1.0, 3.0]]},
        "aisp:n=2,lambda=0.7,alpha=0.5": {"a": [[1.0, 3.0]]},
        "bon:n=2": {"a": [[2.0, 0.0]]},
    }
    kl = dict.fromkeys(rewards, 5.0)
    table = table3([results_of(tmp_path, rewards, kl=kl)])
    assert table is not None
    assert [(row[2], row[3]) for row in table.rows] == [("lambda", "0.3"), ("lambda", "0.5")]
    assert cells(table, 1)["reward"] == Estimate(3.0, None, 1)
    assert cells(table, 1)["KL exact"] == Estimate(5.0, None, 1)
    assert cells(table, 1)["minus bon:n=2"] == Estimate(1.0, None, 1)


def test_there_is_no_table_3_where_nothing_was_varied(tmp_path: Path) -> None:
    assert table3([results_of(tmp_path, REWARDS)]) is None


def test_table_5_has_costs_and_what_they_bought(tmp_path: Path) -> None:
    table = table5([results_of(tmp_path, REWARDS)])
    aisp, bon = cells(table, 0), cells(table, 1)
    assert (aisp["samples"], aisp["tokens"]) == (4.0, 8.0)
    assert (aisp["decoding s"], aisp["scoring s"]) == (1.5, 0.5)
    assert (aisp["time"], bon["time"]) == ("+100%", "+0%")
    # a: from 1.5 to 3 in 8 tokens and 2 seconds; b: from 3 to 9
    assert aisp["gain a second"] == Estimate(pytest.approx(1.875), pytest.approx(1.125), 2)
    assert aisp["gain a 1,000 tokens"] == Estimate(pytest.approx(468.75), pytest.approx(281.25), 2)
