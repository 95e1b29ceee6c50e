"""The paper's Tables 1, 3 and 5."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from prelogit.evaluation.arms import Arm
from prelogit.evaluation.estimate import Estimate
from prelogit.evaluation.results import Results, margin
from prelogit.evaluation.store import Run
from prelogit.evaluation.table import Cell, Table
from prelogit.evaluation.win_rate import judges_of, measure_name
from prelogit.metrics.curves import reward_curve
from prelogit.metrics.gain import reward_per_second, reward_per_token

ERRORS = "± one standard error over prompts, the seeds of a prompt averaged first."
# How much is drawn, not how: methods that differ in these are no study of a parameter.
_SIZES = ("name", "n", "iterations", "batch_size", "preset", "noise")


def table1(parts: Sequence[Results]) -> Table:
    """Mean best reward, what the answers are like, and the difference to the references.

    Source: arXiv 2510.26219, Table 1.
    """
    measures = parts[0].measures
    judged = [
        (one.label, judge, measure_name(one, judge))
        for one in parts[0].references
        for judge in judges_of(one, parts[0].store)
    ]
    rows: list[list[Cell]] = []
    for part in parts:
        for arm in part.arms:
            rows.append(
                [
                    part.reward,
                    arm.label,
                    arm.params.samples,
                    part.mean(arm, lambda run: run.result.reward),
                    *(_differences(part, arm)),
                    *(_measured(part, arm, name) for name in measures),
                    *(_measured(part, arm, name) for _, _, name in judged),
                    part.mean(arm, lambda run: run.result.diversity),
                    part.mean(arm, lambda run: run.result.coherence),
                    part.mean(arm, lambda run: run.result.nll),
                    part.mean(arm, lambda run: run.result.kl.token_exact),
                    len(part.runs(arm)),
                ]
            )
    columns = ["steered by", "method", "samples", "reward"]
    columns += [f"minus {one.label}" for one in parts[0].references]
    columns += [*measures, *(f"wins over {label} ({judge})" for label, judge, _ in judged)]
    columns += ["diversity", "coherence", "NLL", "KL", "runs"]
    note = (
        f"Reward: of the best candidate. {ERRORS} Differences are paired by prompt and seed, "
        f"against best of n at equal {parts[0].cost}; less than two standard errors tell nothing. "
        "NLL: of the answer under the base model, a token, in nats. KL: exact token KL from the "
        "base model, in nats."
    )
    return Table("table1", "Table 1: rewards and answers", columns, rows, note)


def table3(parts: Sequence[Results]) -> Table | None:
    """KL against reward, of methods that differ from another in one parameter; None without any.

    Source: arXiv 2510.26219, Table 3 (lambda and alpha).
    """
    rows: list[list[Cell]] = []
    for part in parts:
        found: list[tuple[str, str, list[Cell]]] = []
        for arm in part.arms:
            for name in studied(part.arms, arm):
                kl = [
                    part.mean(arm, lambda run: run.result.kl.token_exact),
                    part.mean(arm, lambda run: run.result.kl.token_sampled),
                    part.mean(arm, lambda run: run.result.kl.gaussian),
                ]
                reward = part.mean(arm, lambda run: run.result.reward)
                value = str(arm.fields[name])
                row = [part.reward, arm.label, name, value, reward, *kl]
                found.append((str(arm.fields["name"]), name, [*row, *_differences(part, arm)]))
        found.sort(key=lambda one: one[:2])
        rows += [row for _, _, row in found]
    if not rows:
        return None
    columns = ["steered by", "method", "parameter", "value", "reward"]
    columns += ["KL exact", "KL sampled", "KL gaussian"]
    columns += [f"minus {one.label}" for one in parts[0].references]
    note = f"KL from the base model, in nats. {ERRORS}"
    return Table("table3", "Table 3: KL against reward", columns, rows, note)


def table5(parts: Sequence[Results]) -> Table:
    """What a prompt has cost on average, and what the cost has bought.

    Source: arXiv 2510.26219, Table 5.
    """
    rows: list[list[Cell]] = []
    for part in parts:
        base = next((_seconds(part.runs(one)) for one in part.references), None)
        for arm in part.arms:
            runs = part.runs(arm)
            total = _seconds(runs)
            over = f"{total / base - 1:+.0%}" if total and base else None
            rows.append(
                [
                    part.reward,
                    arm.label,
                    _mean([run.result.samples for run in runs]),
                    _mean([run.result.generated_tokens for run in runs]),
                    _mean([run.result.seconds.decode for run in runs]),
                    _mean([run.result.seconds.reward for run in runs]),
                    over,
                    part.mean(arm, lambda run: _thousand(reward_per_token(run.result, above=_start(run)))),
                    part.mean(arm, lambda run: reward_per_second(run.result, above=_start(run))),
                ]
            )  # fmt: skip
    columns = ["steered by", "method", "samples", "tokens", "decoding s", "scoring s", "time"]
    columns += ["gain a 1,000 tokens", "gain a second"]
    first = parts[0].references[0].label if parts[0].references else "nothing"
    note = (
        "Means of one prompt; decoding is its share of the batch that it stood in. "
        f"Time: decoding and scoring, against {first}. Gain: best reward minus the mean of the "
        "first round."
    )
    return Table("table5", "Table 5: costs", columns, rows, note)


def studied(arms: Sequence[Arm], arm: Arm) -> list[str]:
    """The parameters in which alone the method differs from another."""
    differences = [_differ_in(arm, other) for other in arms]
    alone = {names[0] for names in differences if len(names) == 1}
    return [name for name in arm.fields if name in alone and name not in _SIZES]


def _differ_in(one: Arm, other: Arm) -> list[str]:
    left, right = one.fields, other.fields
    if left["name"] != right["name"]:
        return ["name", "all"]
    return [name for name in left if left[name] != right.get(name)]


def _differences(part: Results, arm: Arm) -> list[Estimate | None]:
    return [None if arm == one else margin(part, arm, one) for one in part.references]


def _measured(part: Results, arm: Arm, name: str) -> Estimate | None:
    return part.mean(arm, lambda run: part.store.measure(run, name))


def _start(run: Run) -> float:
    return reward_curve(run.rows)[0].mean


def _thousand(value: float | None) -> float | None:
    return None if value is None else 1000 * value


def _seconds(runs: Sequence[Run]) -> float | None:
    return _mean([run.result.seconds.decode + run.result.seconds.reward for run in runs])


def _mean(values: Sequence[float]) -> float | None:
    return statistics.fmean(values) if values else None
