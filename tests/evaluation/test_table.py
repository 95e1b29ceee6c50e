"""Tables as markdown and as CSV."""

from __future__ import annotations

import csv
import io

from prelogit.evaluation.estimate import Estimate
from prelogit.evaluation.table import Table, as_csv, markdown

TABLE = Table(
    "t",
    "A title",
    ["method", "reward", "samples"],
    [["a|b", Estimate(1.23456, 0.5, 7), 32.0], ["c", None, 0.126]],
    "A note.",
)


def test_markdown_has_title_cells_and_note() -> None:
    lines = markdown(TABLE).splitlines()
    assert lines[0] == "## A title"
    assert lines[4] == r"| a\|b | 1.235 ± 0.500 | 32 |"
    assert lines[5] == "| c | - | 0.13 |"
    assert lines[-1] == "A note."


def test_csv_has_all_digits_and_columns_for_error_and_prompts() -> None:
    rows = list(csv.DictReader(io.StringIO(as_csv(TABLE))))
    assert rows[0] == {
        "method": "a|b", "reward": "1.23456", "reward se": "0.5", "reward prompts": "7",
        "samples": "32.0",
    }  # fmt: skip
    assert rows[1]["reward"] == ""
