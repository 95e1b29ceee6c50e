"""The reward curves, from rewards that are known."""

from __future__ import annotations

from pathlib import Path

import pytest

from prelogit.evaluation.curves import curves, figure3_table, figure4_table, margins
from prelogit.evaluation.estimate import Estimate
from tests.evaluation.made import results_of

AISP = "aisp:n=2,iterations=1"
REWARDS = {
    AISP: {"a": [[1.0, 2.0], [3.0, 2.0]], "b": [[5.0, 1.0], [0.0, 9.0]]},
    "bon:n=4": {"a": [[2.0, 1.0, 2.5, 0.0]], "b": [[7.0, 6.0, 7.0, 8.0]]},
}


def test_a_point_a_round_and_best_of_n_at_the_same_samples(tmp_path: Path) -> None:
    first, second, early, late = curves(results_of(tmp_path, REWARDS))
    assert (first.label, first.spent, second.spent) == (AISP, 2.0, 4.0)
    assert first.mean == Estimate(2.25, pytest.approx(0.75), 2)
    assert second.best == Estimate(6.0, pytest.approx(3.0), 2)
    assert (early.label, early.spent, late.spent) == ("bon:n=4", 2.0, 4.0)
    assert early.best_so_far == Estimate(4.5, pytest.approx(2.5), 2)
    assert late.best_so_far == Estimate(5.25, pytest.approx(2.75), 2)
    assert early.best is None


@pytest.mark.parametrize(("cost", "spent"), [("tokens", [4, 8]), ("seconds", [1, 2])])
def test_the_axis_may_be_tokens_or_seconds(tmp_path: Path, cost: str, spent: list[float]) -> None:
    points = curves(results_of(tmp_path, REWARDS, cost=cost))
    assert [point.spent for point in points[:2]] == spent
    # All of best of n's samples took one second.
    assert [point.spent for point in points[2:]] == ([4, 8] if cost == "tokens" else [0.5, 1])


def test_best_of_n_alone_has_a_curve_too(tmp_path: Path) -> None:
    points = curves(results_of(tmp_path, {"bon:n=6": {"a": [[1.0, 2.0, 0.0, 5.0, 0.0, 6.0]]}}))
    assert [point.spent for point in points] == [1, 2, 4, 6]
    assert [point.best_so_far and point.best_so_far.mean for point in points] == [1, 2, 5, 6]


def test_figure_3_has_a_row_a_point(tmp_path: Path) -> None:
    table = figure3_table([results_of(tmp_path, REWARDS, cost="tokens")])
    assert table.columns[2] == "tokens"
    assert len(table.rows) == 4


def test_figure_4_has_the_batches_beside_best_of_n(tmp_path: Path) -> None:
    rewards = {
        "aisp:n=2,iterations=3,batch_size=4": {"a": [[3.0, 0.0]] * 4},
        "aisp:n=4,iterations=1,batch_size=2": {"a": [[2.0] * 4] * 2},
        "bon:n=8": {"a": [[1.0] * 8]},
    }
    table = figure4_table([results_of(tmp_path, rewards)])
    assert table is not None
    assert [row[2:4] for row in table.rows] == [[2, 4], [4, 2], [1, 8]]
    assert table.rows[1][5] == Estimate(2.0, None, 1)
    assert figure4_table([results_of(tmp_path / "other", REWARDS)]) is None


def test_the_margin_is_paired_and_at_equal_samples(tmp_path: Path) -> None:
    first, second = margins(results_of(tmp_path, REWARDS))
    # The best of 2 of a's four samples is expected to be 25/12, of b's 22.5/3.
    best = {"a": (2.5 * 3 + 2.0 * 2 + 1.0) / 6, "b": (8.0 * 3 + 7.0 * 3) / 6}
    assert first.best_so_far is not None
    assert first.best_so_far.mean == pytest.approx((2.0 - best["a"] + 5.0 - best["b"]) / 2)
    assert (first.label, first.spent) == (AISP, 2.0)
    assert second.best_so_far == Estimate(pytest.approx(0.75), pytest.approx(0.25), 2)
    assert margins(results_of(tmp_path / "alone", {AISP: REWARDS[AISP]})) == []
