"""``prelogit align``: the library in this process, without a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from prelogit.cli import options
from prelogit.cli.local import Device, Dtype, ModelName, RewardName, loaded, wrong_fields_named
from prelogit.cli.methods import baseline_of, with_method_options
from prelogit.cli.progress import counted
from prelogit.cli.prompts import File, PromptText, gather
from prelogit.cli.reporting import FAILED, Json, print_json, reported
from prelogit.cli.results import Format, print_results
from prelogit.core.errors import InputError
from prelogit.wire.jobs import Budget, Stop
from prelogit.wire.limits import round_samples
from prelogit.wire.params import Params

if TYPE_CHECKING:
    from prelogit.core.records import Iteration


@with_method_options
@reported
def align(
    method: Params,
    file: File = None,
    prompt: PromptText = None,
    model: ModelName = "smollm2-135m",
    reward: RewardName = "relevance",
    held_out_reward: Annotated[
        str | None,
        typer.Option(help="A second reward, as --reward; it looks on and never steers."),
    ] = None,
    device: Device = "auto",
    dtype: Dtype = "auto",
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
    form: Annotated[Format, typer.Option("--format", help="How to print them.")] = Format.table,
    as_json: Json = False,
) -> None:
    """Align prompts in this process: no service, nothing is stored."""
    items = gather(file, prompt)
    baselines = [baseline_of(text) for text in baseline or ()]
    stop = options.stop_fields(
        reward=stop_reward,
        plateau=stop_plateau,
        samples=stop_samples,
        seconds=stop_seconds,
        tokens=stop_tokens,
        held_out=stop_held_out,
        kl=stop_kl,
    )
    fields: dict[str, Any] = options.given_fields(
        baselines=baselines,
        max_new_tokens=max_new_tokens,
        seed=seed,
        keep=keep,
        top_k=top_k,
        template=template,
    )
    if held_out_reward == reward:
        raise InputError(
            "--held-out-reward is the reward that steers: name another one, or leave it out",
            field="held_out",
        )
    import prelogit

    answering, score = loaded(model, reward, device=device, dtype=dtype, quiet=as_json)
    if held_out_reward is not None:
        fields["held_out"] = prelogit.load_reward(held_out_reward)
    rounds = len(items) * method.rounds
    if budget_samples is not None:
        rounds = budget_samples // round_samples(method)
    total = rounds + len(items) * sum(one.rounds for one in baselines)
    with counted("rounds", total, quiet=as_json) as count, wrong_fields_named():

        def on_iteration(prompt_id: str, arm: int, row: Iteration) -> None:
            count()

        if stop is not None:
            fields["stop"] = Stop.model_validate(stop)
        if budget_samples is not None:
            fields["budget"] = Budget(samples=budget_samples)
        results = prelogit.align(
            answering, items, score, method=method, on_iteration=on_iteration, **fields
        )
    if as_json:
        print_json([result.model_dump(mode="json") for result in results])
    else:
        print_results(results, form, baselines)
    if any(result.status != "succeeded" for result in results):
        raise typer.Exit(FAILED)
