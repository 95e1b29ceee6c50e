"""``prelogit value``: collect states for a value network, and train it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer
from pydantic import ValidationError
from rich.table import Table

from prelogit.cli import options
from prelogit.cli.local import Device, Dtype, ModelName, RewardName, loaded, wrong_fields_named
from prelogit.cli.progress import counted
from prelogit.cli.prompts import File, PromptText, gather
from prelogit.cli.reporting import FAILED, Json, notes, out, print_json, reported
from prelogit.wire.params import CollectStates

if TYPE_CHECKING:
    from prelogit.value.header import Epoch

value = typer.Typer(no_args_is_help=True, help="Collect states for RE-Control, and train on them.")
Name = Annotated[
    str, typer.Argument(metavar="NAME", help="The value network's name.", show_default=False)
]


@value.command()
@reported
def collect(
    name: Name,
    file: File = None,
    prompt: PromptText = None,
    model: ModelName = "smollm2-135m",
    reward: RewardName = "relevance",
    device: Device = "auto",
    dtype: Dtype = "auto",
    n: Annotated[int | None, typer.Option(help="Samples a prompt (8).")] = None,
    temperature: Annotated[float | None, typer.Option(help="Of the softmax (0.7).")] = None,
    top_p: Annotated[
        float | None, typer.Option(help="The mass of tokens that is drawn from (0.95).")
    ] = None,
    max_new_tokens: options.MaxNewTokens = None,
    seed: options.Seed = None,
    template: options.Template = None,
    as_json: Json = False,
) -> None:
    """Draw and score responses, and keep every pre-logit; run it again to go on where it stopped."""
    items = gather(file, prompt)
    method = _method(options.given_fields(value=name, n=n, temperature=temperature, top_p=top_p))
    fields: dict[str, Any] = options.given_fields(
        max_new_tokens=max_new_tokens, seed=seed, template=template
    )
    from prelogit.collecting import collect_states

    sampled, score = loaded(model, reward, device=device, dtype=dtype, quiet=as_json)
    with counted("prompts", len(items), quiet=as_json) as count, wrong_fields_named():
        done = collect_states(sampled, items, score, method, on_prompt=lambda _: count(), **fields)
    if as_json:
        print_json(done._asdict())
    else:
        told = f"{done.responses} responses of {done.prompts} prompts"
        out.print(f"{told}; {done.already} prompts were there already", highlight=False)
        for prompt_id, reason in done.failed.items():
            told = f"{prompt_id}: {reason}"
            notes.print(told, style="red", highlight=False, markup=False, soft_wrap=True)
    if done.failed:
        raise typer.Exit(FAILED)


@value.command()
@reported
def train(
    name: Name,
    epochs: Annotated[
        int | None, typer.Option(help="Most passes over the responses (100).")
    ] = None,
    patience: Annotated[
        int | None, typer.Option(help="End after so many without a smaller held-out error (10).")
    ] = None,
    learning_rate: Annotated[float | None, typer.Option(help="Of AdamW (0.001).")] = None,
    weight_decay: Annotated[float | None, typer.Option(help="Of AdamW (0.01).")] = None,
    decay: Annotated[
        float | None,
        typer.Option(
            help="1 fits each pre-logit to the reward, 0 to the value of the next, as the paper does."
        ),
    ] = None,
    width: Annotated[
        int | None, typer.Option(help="Of the hidden layers (that of the pre-logits).")
    ] = None,
    held_out: Annotated[
        float | None, typer.Option(help="Share of the prompts that is held out (0.2).")
    ] = None,
    seed: Annotated[
        int | None, typer.Option(help="The same seed gives the same network (0).")
    ] = None,
    as_json: Json = False,
) -> None:
    """Train a value network on the states that were collected under its name."""
    fields = options.given_fields(
        epochs=epochs,
        patience=patience,
        learning_rate=learning_rate,
        weight_decay=weight_decay,
        decay=decay,
        width=width,
        held_out=held_out,
        seed=seed,
    )
    from prelogit.value.fit import Fitting
    from prelogit.value.train import train_value

    def say(number: int, epoch: Epoch) -> None:
        if not as_json:
            notes.print(
                f"epoch {number}: loss {epoch.loss:.3f}, held out {epoch.held_out:.3f}",
                highlight=False,
            )

    trained = train_value(name, fitting=Fitting(**fields), on_epoch=say)
    header = trained.header
    if as_json:
        print_json({"path": str(trained.path), **header.model_dump(mode="json")})
        return
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_row("value", f"{name} ({trained.path})")
    table.add_row("model", f"{header.model.name} ({header.model.fingerprint})")
    table.add_row("reward", f"{header.reward.name}, {header.mean:.3f} ± {header.std:.3f}")
    table.add_row("fitted to", f"{header.responses} responses of {header.prompts} prompts")
    table.add_row("best epoch", f"{header.epoch} of {len(header.curve)}")
    table.add_row("explains", f"{header.explained:.1%} of the held-out rewards' variance")
    out.print(table)


def _method(fields: dict[str, Any]) -> CollectStates:
    try:
        return CollectStates(**fields)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        flag = "NAME" if field == "value" else "--" + field.replace("_", "-")
        raise typer.BadParameter(first["msg"], param_hint=flag) from error
