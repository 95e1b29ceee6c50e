"""``prelogit align``: the library in this process, without a service."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from prelogit.cli import options
from prelogit.cli.methods import baseline_of, with_method_options
from prelogit.cli.prompts import File, PromptText, gather
from prelogit.cli.reporting import FAILED, Json, notes, print_json, reported
from prelogit.cli.results import Format, print_results
from prelogit.core.errors import InputError
from prelogit.wire.jobs import Stop
from prelogit.wire.params import Params

if TYPE_CHECKING:
    from prelogit.core.records import Iteration


@with_method_options
@reported
def align(
    method: Params,
    file: File = None,
    prompt: PromptText = None,
    model: Annotated[str, typer.Option(help="Alias, Hugging Face id or folder.")] = "smollm2-135m",
    reward: Annotated[
        str, typer.Option(help="relevance, the URL of a reward service, or module:callable.")
    ] = "relevance",
    device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
    dtype: Annotated[str, typer.Option(help="auto, float32, bfloat16 or float16.")] = "auto",
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
    )
    fields: dict[str, Any] = options.given_fields(
        baselines=baselines,
        max_new_tokens=max_new_tokens,
        seed=seed,
        keep=keep,
        top_k=top_k,
        template=template,
    )
    import prelogit

    if not as_json:
        notes.print(f"loading {model} and {reward} …", highlight=False, markup=False)
    loaded = prelogit.load_model(model, device=device, dtype=dtype)
    score = prelogit.load_reward(reward)
    total = len(items) * (method.rounds + sum(one.rounds for one in baselines))
    columns = (TextColumn("rounds"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=notes, transient=True, disable=as_json) as progress:
        task = progress.add_task("rounds", total=total)

        def on_iteration(prompt_id: str, arm: int, row: Iteration) -> None:
            progress.advance(task)

        try:
            if stop is not None:
                fields["stop"] = Stop.model_validate(stop)
            results = prelogit.align(
                loaded, items, score, method=method, on_iteration=on_iteration, **fields
            )
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(str(part) for part in first["loc"])
            raise InputError(f"{where}: {first['msg']}", field=where) from error
    if as_json:
        print_json([result.model_dump(mode="json") for result in results])
    else:
        print_results(results, form, baselines)
    if any(result.status != "succeeded" for result in results):
        raise typer.Exit(FAILED)
