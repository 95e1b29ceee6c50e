"""``prelogit tune``: a method's parameters, chosen by training prompts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from prelogit.cli import datasets
from prelogit.cli.progress import searched
from prelogit.cli.reporting import FAILED, Json, notes, out, print_json, reported
from prelogit.cli.solvers import Setting, cost_line, solving
from prelogit.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from prelogit.evaluation.arms import Arm
    from prelogit.tuning.trials import Trial

SEARCHES = ("grid", "optuna")


@reported
def tune(
    dataset: datasets.Dataset,
    folder: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder for runs, trials and the best parameters; goes on if begun.",
            show_default=False,
        ),
    ],
    method: Annotated[
        str, typer.Option(help="As --baseline has it, as aisp:n=8: what is not tuned stays so.")
    ] = "aisp",
    method_file: datasets.MethodFile = None,
    grid: Annotated[
        list[str] | None,
        typer.Option(
            help="PARAMETER=VALUE,VALUE,… or, for optuna, PARAMETER=LOW..HIGH; may be repeated "
            "(the method's own grid).",
            show_default=False,
        ),
    ] = None,
    search: Annotated[
        str, typer.Option(help="grid tries all; optuna proposes, and gives bad ones up early.")
    ] = "grid",
    trials: Annotated[int, typer.Option(help="How many choices optuna tries.", min=1)] = 20,
    prune_after: Annotated[
        float,
        typer.Option(help="Share of the prompts before a trial may be given up.", min=0, max=1),
    ] = 0.25,
    model: datasets.Model = "smollm2-135m",
    reward: Annotated[
        str, typer.Option(help="Steers, as for `align`; with --url a name of the service's.")
    ] = "relevance",
    seeds: datasets.Seeds = "0",
    max_new_tokens: datasets.MaxNewTokens = 64,
    preprocess: datasets.Preprocess = "none",
    split: datasets.Split = "train",
    skip: datasets.Skip = 0,
    limit: datasets.Limit = None,
    url: datasets.Url = None,
    device: datasets.Device = "auto",
    dtype: datasets.Dtype = "auto",
    estimate: datasets.EstimateOnly = False,
    as_json: Json = False,
) -> None:
    """Choose a method's parameters by the mean best reward on training prompts.

    Writes a table of trials, and the best as a file that `align`, `submit` and `evaluate` take as
    --method-file. What has been run is kept in the folder: give the command again to go on.
    """
    from prelogit.evaluation.cost import cost_of, priced
    from prelogit.evaluation.store import Store, Task
    from prelogit.evaluation.table import markdown
    from prelogit.tuning.report import table_of, tuned, write_tuned
    from prelogit.tuning.search import by_grid, by_optuna, grid_arms
    from prelogit.tuning.space import axes_of
    from prelogit.tuning.trials import Bench

    datasets.one_of("search", search, SEARCHES)
    start = _start(method, method_file)
    axes = axes_of(start.params, grid or ())
    numbers = datasets.whole_numbers(seeds)
    entries = datasets.entries_of(
        dataset, preprocess=preprocess, split=split, skip=skip, limit=limit
    )
    template: Literal["chat", "none"] = "none" if preprocess == "paper" else "chat"
    setting = Setting(model, max_new_tokens, template, url, device, dtype)
    known = grid_arms(start, axes) if search == "grid" else [start]
    tasks = [Task(reward, arm, seed, entries) for arm in known for seed in numbers]
    with Store(folder, setting.held) as store, solving(setting, tasks, store, quiet=as_json) as on:
        told = cost_of(tasks, store, max_new_tokens, on.trial)
        if search == "optuna":
            most = (trials + 1) * len(numbers) * len(entries)
            left = max(0, most - len(list(store.runs)))
            samples = left * start.params.samples
            told = priced(left, samples, store, max_new_tokens, on.trial)._replace(is_bound=True)
        if not as_json:
            (out if estimate else notes).print(cost_line(told), highlight=False, soft_wrap=True)
        elif estimate:
            print_json(told._asdict())
        if estimate:
            return
        with searched(told.searches, quiet=as_json) as on_run:
            bench = Bench(on.solver, store, reward, numbers, entries, start, on_run)
            found = (
                by_grid(bench, axes)
                if search == "grid"
                else by_optuna(bench, axes, trials, prune_after=prune_after, seed=numbers[0])
            )
            result = tuned(_noted(found, quiet=as_json))
        written = write_tuned(result, folder)
    if as_json:
        best = result.best
        print_json(
            {
                "folder": str(folder),
                "files": written,
                "best": best.arm.fields if best is not None else None,
                "reward": best.reward.mean if best is not None and best.reward else None,
            }
        )
    else:
        out.print(markdown(table_of(result)), markup=False, highlight=False, soft_wrap=True)
        out.print(f"written to {folder}: {', '.join(written)}", highlight=False, soft_wrap=True)
    if any(trial.state == "failed" for trial in result.trials):
        raise typer.Exit(FAILED)


def _start(text: str, file: Path | None) -> Arm:
    """The method that is tuned, best of n with a number for n.

    Raises: InputError: there is no such method, or the file has several.
    """
    from prelogit.evaluation.arms import arm_of, arms_of_file
    from prelogit.evaluation.varied import matched

    arms = arms_of_file(file) if file is not None else [arm_of(text)]
    if len(arms) != 1:
        raise InputError(f"{file}: has {len(arms)} methods, and one is tuned", field="method_file")
    return matched(arms)[0]


def _noted(trials: Iterable[Trial], *, quiet: bool) -> list[Trial]:
    """All of them, each told as it comes."""
    found = []
    for trial in trials:
        found.append(trial)
        if not quiet:
            line = f"trial {trial.number}: {trial.arm.label}: {trial.reward} ({trial.state})"
            notes.print(line, highlight=False, markup=False, soft_wrap=True)
    return found
