"""The trials as a table, and the best as a file that jobs accept."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from prelogit.evaluation.estimate import Estimate
from prelogit.evaluation.table import Cell, Table, as_csv, markdown
from prelogit.tuning.trials import Trial, best_of, difference

NAME = "best.json"


class Tuned(NamedTuple):
    """What came out; ``best``: None where no trial has an answer to every prompt."""

    trials: Sequence[Trial]
    best: Trial | None
    minus_start: Estimate | None  # of the best

    @property
    def verdict(self) -> str:
        """What the numbers allow to say."""
        if self.best is None:
            return "No trial has an answer to every prompt: there is nothing to choose."
        if self.best.number == 0:
            return "No trial is better than the method as it was given."
        found = self.minus_start
        if found is None or found.se is None or found.mean < 2 * found.se:
            return (
                f"{self.best.arm.label} is best, but by less than two standard errors of the "
                "difference to the method as it was given: it may be chance."
            )
        return (
            f"{self.best.arm.label} is best. It was chosen by these prompts, which flatters it: "
            "confirm it on others, by prelogit evaluate --method-file."
        )


def tuned(trials: Sequence[Trial]) -> Tuned:
    """The first of the trials is the method as it was given."""
    best = best_of(trials)
    minus = difference(best, trials[0]) if best is not None and best.number else None
    return Tuned(trials, best, minus)


def table_of(found: Tuned) -> Table:
    """One row a trial: the best first, then those that were given up."""
    names = list(dict.fromkeys(name for trial in found.trials for name in trial.values))
    rows: list[list[Cell]] = []
    for trial in sorted(found.trials, key=_rank):
        fields = trial.arm.fields
        rows.append(
            [
                trial.number,
                *(_text(fields.get(name)) for name in names),
                trial.reward,
                difference(trial, found.trials[0]) if trial.number else None,
                trial.state,
                len({run.prompt for run in trial.runs}),
                sum(run.result.samples for run in trial.runs),
                sum(run.result.seconds.decode + run.result.seconds.reward for run in trial.runs),
            ]
        )
    columns = ["trial", *names, "reward", "minus trial 0"]
    columns += ["state", "prompts", "samples", "seconds"]
    note = (
        "Trial 0 is the method as it was given. Reward: mean best reward; ± one standard error over "
        "prompts, the seeds of a prompt averaged first; a pruned trial's is of its first prompts. "
        f"Differences are paired by prompt and seed. {found.verdict}"
    )
    return Table("trials", "Trials", columns, rows, note)


def write_tuned(found: Tuned, folder: Path) -> list[str]:
    """``trials.md``, ``trials.csv`` and, where there is a best trial, ``best.json``.

    Returns: names of the files.
    """
    table = table_of(found)
    (folder / "trials.md").write_text(markdown(table), encoding="utf-8")
    (folder / "trials.csv").write_text(as_csv(table), encoding="utf-8")
    if found.best is None:
        return ["trials.md", "trials.csv"]
    text = json.dumps(found.best.arm.fields, indent=2) + "\n"
    (folder / NAME).write_text(text, encoding="utf-8")
    return ["trials.md", "trials.csv", NAME]


def _rank(trial: Trial) -> tuple[bool, float]:
    reward = trial.reward.mean if trial.reward is not None else float("-inf")
    return trial.state != "complete", -reward


def _text(value: object) -> str:
    return str(value) if value is not None else "-"
