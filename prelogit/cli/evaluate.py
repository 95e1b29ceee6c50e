"""``prelogit evaluate``: methods over a dataset and seeds, and the paper's tables and figures."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_args

import typer

from prelogit.cli import datasets
from prelogit.cli.progress import counted, searched
from prelogit.cli.reporting import FAILED, Json, notes, out, print_json, reported
from prelogit.cli.solvers import Setting, cost_line, solving
from prelogit.core.errors import InputError
from prelogit.wire.params import AISP

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from prelogit.evaluation.arms import Arm
    from prelogit.evaluation.store import Store, Task
    from prelogit.rewards.judge import Judge
    from prelogit.rewards.protocol import Score


@reported
def evaluate(
    dataset: datasets.Dataset,
    folder: Annotated[
        Path,
        typer.Option(
            "--out",
            help="Folder for runs, tables and figures; a run that was begun there goes on.",
            show_default=False,
        ),
    ],
    method: datasets.Methods = None,
    method_file: datasets.MethodFile = None,
    vary: Annotated[
        list[str] | None,
        typer.Option(
            help="PARAMETER=VALUE,VALUE,…: the first method again with each; may be repeated.",
            show_default=False,
        ),
    ] = None,
    batched: Annotated[
        int | None,
        typer.Option(
            help="Adds Batched AISP: b prompts of n samples for every b, n with this product.",
            show_default=False,
        ),
    ] = None,
    reference: Annotated[
        list[str] | None,
        typer.Option(
            help="The method that the others are compared with, as --method names it; may be "
            "repeated (every best of n).",
            show_default=False,
        ),
    ] = None,
    model: datasets.Model = "smollm2-135m",
    reward: Annotated[
        list[str] | None,
        typer.Option(
            help="Steers the search, as for `align`; with --url a name of the service's; may be "
            "repeated (relevance).",
            show_default=False,
        ),
    ] = None,
    held_out: Annotated[
        list[str] | None,
        typer.Option(
            help="A reward that only scores the chosen answers, in this process; may be repeated.",
            show_default=False,
        ),
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(
            help="URL of an OpenAI-compatible server that says whose answers are better: the "
            "method's or the first reference's.",
            show_default=False,
        ),
    ] = None,
    judge_model: Annotated[
        str | None, typer.Option(help="The judge's name there.", show_default=False)
    ] = None,
    judge_key_env: Annotated[
        str | None,
        typer.Option(help="NAME of the environment variable that holds its key."),
    ] = None,
    seeds: datasets.Seeds = "0",
    max_new_tokens: datasets.MaxNewTokens = 64,
    cost: Annotated[
        str, typer.Option(help="samples, tokens or seconds: the axis, and what is held equal.")
    ] = "samples",
    preprocess: datasets.Preprocess = "none",
    split: datasets.Split = "test",
    skip: datasets.Skip = 0,
    limit: datasets.Limit = None,
    url: datasets.Url = None,
    device: datasets.Device = "auto",
    dtype: datasets.Dtype = "auto",
    estimate: datasets.EstimateOnly = False,
    as_json: Json = False,
) -> None:
    """Run methods over a dataset and seeds; write the paper's tables and figures.

    What has been run is kept in the folder and never run again: give the command once more after
    it was cut off, or with more methods, seeds, rewards and prompts.
    """
    from prelogit.evaluation.cost import cost_of
    from prelogit.evaluation.report import tables_of, write_report
    from prelogit.evaluation.results import Cost, Results, references_of
    from prelogit.evaluation.running import run_all, tasks_of
    from prelogit.evaluation.store import Store
    from prelogit.evaluation.table import markdown

    datasets.one_of("cost", cost, get_args(Cost))
    arms = _arms(method, method_file, vary, batched)
    references = references_of(arms, reference or ())
    asked = _judge(judge, judge_model, judge_key_env, references)
    rewards = list(dict.fromkeys(reward or ["relevance"]))
    numbers = datasets.whole_numbers(seeds)
    entries = datasets.entries_of(
        dataset, preprocess=preprocess, split=split, skip=skip, limit=limit
    )
    template: Literal["chat", "none"] = "none" if preprocess == "paper" else "chat"
    setting = Setting(model, max_new_tokens, template, url, device, dtype)
    tasks = tasks_of(rewards, arms, numbers, entries)
    with Store(folder, setting.held) as store:
        failed, scores = [], {}
        if any(store.missing(task) for task in tasks):
            with solving(setting, tasks, store, quiet=as_json) as found:
                told = cost_of(tasks, store, max_new_tokens, found.trial)
                if not as_json:
                    where = out if estimate else notes
                    where.print(cost_line(told), highlight=False, soft_wrap=True)
                elif estimate:
                    print_json(told._asdict())
                if estimate:
                    return
                with searched(told.searches, quiet=as_json) as on_run:
                    failed = run_all(found.solver, tasks, store, on_run)
                scores = found.scores
        measures = list(dict.fromkeys([*_both_ways(rewards, url), *(held_out or ())]))
        _measure(measures, scores, tasks, store)
        if asked is not None:
            _ask(asked, tasks, references[0], store, quiet=as_json)
        axis: Any = cost
        parts = [
            Results(store, name, arms, numbers, entries, references, measures, axis)
            for name in rewards
        ]
        written = write_report(parts, folder)
        shown = [markdown(table) for table in tables_of(parts)]
    if as_json:
        print_json({"folder": str(folder), "files": written, "failed": len(failed)})
    else:
        for text in shown:
            out.print(text, markup=False, highlight=False, soft_wrap=True)
        out.print(f"written to {folder}: {', '.join(written)}", highlight=False, soft_wrap=True)
        if "figure3.png" not in written:
            notes.print("figures need matplotlib: pip install 'prelogit\\[plot]'")
    if failed:
        raise typer.Exit(FAILED)


def _arms(
    texts: list[str] | None, file: Path | None, vary: list[str] | None, total: int | None
) -> list[Arm]:
    """The methods of the command line, as many samples filled in as the largest has.

    Raises: InputError: names the method or parameter and the cure.
    """
    from prelogit.evaluation.arms import arm_of, arms_of_file
    from prelogit.evaluation.varied import batched, matched, varied

    arms = arms_of_file(file) if file is not None else []
    arms += [arm_of(text) for text in texts or ()]
    arms = arms or [arm_of(text) for text in ("aisp", "bon", "bon:gaussian")]
    arms += varied(arms[0], vary or ())
    if total is not None:
        base = next((one.params for one in arms if isinstance(one.params, AISP)), AISP())
        arms += batched(total, base)
    return matched(arms)


def _both_ways(rewards: list[str], url: str | None) -> list[str]:
    """Rewards of this process that steer score each other's answers too."""
    return rewards if len(rewards) > 1 and url is None else []


def _measure(
    names: list[str], scores: Mapping[str, Score], tasks: list[Task], store: Store
) -> None:
    """Score what has not been scored; loads only what is needed for that."""
    import prelogit
    from prelogit.evaluation.measures import score_chosen, unscored

    for name in names:
        if unscored(name, tasks, store):
            score_chosen(name, scores.get(name) or prelogit.load_reward(name), tasks, store)


def _judge(
    url: str | None, model: str | None, key_env: str | None, references: Sequence[Arm]
) -> Judge | None:
    """
    Raises: InputError: half a judge, nothing to compare with, or no URL.
    """
    if url is None and model is None:
        return None
    if url is None or model is None:
        raise InputError("a judge needs both --judge and --judge-model", field="judge")
    if not references:
        raise InputError("a judge needs a --reference to compare with", field="reference")
    from prelogit.rewards.judge import Judge

    return Judge(url, model, key_env=key_env)


def _ask(judge: Judge, tasks: list[Task], reference: Arm, store: Store, *, quiet: bool) -> None:
    """Compare what has not been compared, each pair in both orders."""
    from prelogit.evaluation.win_rate import judge_answers, unjudged

    waiting = unjudged(tasks, reference, judge.model, store)
    with counted("pairs", len(waiting), quiet=quiet) as step:
        unread = judge_answers(judge, waiting, reference, store, on_judged=step)
    if unread and not quiet:
        notes.print(f"{unread} verdicts could not be read: give the command again to ask anew")
