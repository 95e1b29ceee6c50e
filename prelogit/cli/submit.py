"""``prelogit submit``: post a job."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Annotated, Any

import typer

from prelogit.cli import options
from prelogit.cli.gateway import connect
from prelogit.cli.methods import baseline_of, with_method_options
from prelogit.cli.prompts import File, PromptText, each
from prelogit.cli.reporting import Json, notes, out, print_json, reported
from prelogit.cli.tables import job_table
from prelogit.cli.watching import exit_code, watch
from prelogit.core.errors import ServiceError
from prelogit.wire.jobs import PromptItem
from prelogit.wire.params import Params


@with_method_options
@reported
def submit(
    method: Params,
    file: File = None,
    prompt: PromptText = None,
    reward: Annotated[
        str | None, typer.Option(help="The reward that steers the search (relevance).")
    ] = None,
    held_out_reward: Annotated[
        str | None, typer.Option(help="A second reward, which looks on and never steers.")
    ] = None,
    model: Annotated[str | None, typer.Option(help="The model, if you want to be sure.")] = None,
    baseline: options.Baselines = None,
    max_new_tokens: options.MaxNewTokens = None,
    seed: options.Seed = None,
    keep: options.Keep = None,
    top_k: options.TopK = None,
    template: options.Template = None,
    stop_reward: options.StopReward = None,
    stop_plateau: options.StopPlateau = None,
    stop_samples: options.StopSamples = None,
    stop_seconds: options.StopSeconds = None,
    stop_tokens: options.StopTokens = None,
    stop_held_out: options.StopHeldOut = None,
    stop_kl: options.StopKl = None,
    budget_samples: options.BudgetSamples = None,
    priority: Annotated[
        str | None, typer.Option(help="high, normal or low: whose turn comes first (normal).")
    ] = None,
    metadata: Annotated[
        list[str] | None,
        typer.Option(help="KEY=VALUE of your own; may be repeated.", show_default=False),
    ] = None,
    webhook: options.WebhookUrl = None,
    webhook_event: options.WebhookEvents = None,
    idempotency_key: Annotated[
        str | None, typer.Option(help="The same key and job again give the same job.")
    ] = None,
    watch_it: Annotated[
        bool, typer.Option("--watch", help="Wait until the job has ended.")
    ] = False,
    estimate: Annotated[
        bool, typer.Option("--estimate", help="Say what it would cost, and post nothing.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Post prompts as a job; prints the job's id."""
    prompts = Counting(each(file, prompt))
    fields: dict[str, Any] = options.given_fields(
        method=method,
        reward=reward,
        held_out=held_out_reward,
        model=model,
        baselines=[baseline_of(text) for text in baseline or ()],
        max_new_tokens=max_new_tokens,
        seed=seed,
        keep=keep,
        top_k=top_k,
        template=template,
        stop=options.stop_fields(
            reward=stop_reward,
            plateau=stop_plateau,
            samples=stop_samples,
            seconds=stop_seconds,
            tokens=stop_tokens,
            held_out=stop_held_out,
            kl=stop_kl,
        ),
        budget=options.stop_fields(samples=budget_samples),
        priority=priority,
        metadata=_metadata(metadata or []),
        webhook=options.webhook_fields(webhook, webhook_event),
    )
    with connect() as client:
        if estimate:
            _print_estimate(client.estimate(prompts, **fields), as_json=as_json)
            return
        try:
            handle = client.submit(prompts, idempotency_key=idempotency_key, **fields)
        except ServiceError as error:
            raise _with_split(error, file, prompts.count) from error
        if watch_it:
            if not as_json:
                notes.print(handle.id, highlight=False)
            job = watch(handle, quiet=as_json)
            if as_json:
                print_json(job.model_dump(mode="json"))
            else:
                out.print(job_table(job))
            raise typer.Exit(exit_code(job))
        if as_json:
            print_json(handle.job.model_dump(mode="json"))
        else:
            out.print(handle.id, highlight=False, soft_wrap=True)


class Counting:
    """Gives what another iterable gives, and counts it."""

    def __init__(self, prompts: Iterable[PromptItem]) -> None:
        self._prompts = prompts
        self.count = 0

    def __iter__(self) -> Iterator[PromptItem]:
        for prompt in self._prompts:
            self.count += 1
            yield prompt


def _metadata(pairs: list[str]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        if not equals or not key:
            raise typer.BadParameter(f"{pair!r} is not KEY=VALUE", param_hint="--metadata")
        found[key] = value
    return found


def _with_split(error: ServiceError, file: str | None, count: int) -> ServiceError:
    """Adds the cure for a file that is too large for one job."""
    fields = [one.get("field") for one in error.problem.get("errors", [])]  # type: ignore[attr-defined]
    if error.status != 413 and fields != ["prompts"]:
        return error
    name = "the prompts" if file in (None, "-") else str(file)
    return ServiceError(
        f"{error}\n{name} has {count:,} prompts: split it and submit the parts "
        "(for JSONL: split -l 50000)",
        status=error.status,
        problem=error.problem,
    )


def _print_estimate(estimate: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        print_json(estimate)
    else:
        for name, value in estimate.items():
            if name == "problems":
                continue
            shown = "unknown" if value is None else f"{value:,}"
            out.print(f"{name.replace('_', ' ')}: {shown}", highlight=False)
        for problem in estimate["problems"]:
            told = f"would be refused: {problem['field']}: {problem['message']}"
            notes.print(told, style="red", highlight=False, markup=False, soft_wrap=True)
    if estimate["problems"]:
        raise typer.Exit(1)
