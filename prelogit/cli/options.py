"""Options of ``submit``, most of them of ``align`` too: everything of a job but its prompts and method."""

from __future__ import annotations

from typing import Annotated, Any

import typer

Baselines = Annotated[
    list[str] | None,
    typer.Option(
        "--baseline",
        help="A method beside it, with as many samples: bon, bon:gaussian, soft_bon, greedy, sample …; "
        "its options may follow, as in soft_bon:lambda=0.5,n=64; may be repeated.",
        show_default=False,
    ),
]
MaxNewTokens = Annotated[int | None, typer.Option(help="Longest answer, in tokens (64).")]
Seed = Annotated[int | None, typer.Option(help="The same seed gives the same answers (0).")]
Keep = Annotated[str | None, typer.Option(help="best or all: which candidates are kept (best).")]
TopK = Annotated[
    int | None, typer.Option(help="How many of the best candidates a result holds (1).")
]
Template = Annotated[str | None, typer.Option(help="chat, or none to send prompts raw (chat).")]
StopReward = Annotated[
    float | None, typer.Option(help="End a prompt early at this reward.", rich_help_panel="Stop")
]
StopPlateau = Annotated[
    int | None,
    typer.Option(help="… after so many rounds without a better one.", rich_help_panel="Stop"),
]
StopSamples = Annotated[
    int | None,
    typer.Option(help="… before it draws more samples than so many.", rich_help_panel="Stop"),
]
StopSeconds = Annotated[
    float | None, typer.Option(help="… after so many seconds.", rich_help_panel="Stop")
]
StopTokens = Annotated[
    int | None, typer.Option(help="… after so many tokens.", rich_help_panel="Stop")
]

StopHeldOut = Annotated[
    int | None,
    typer.Option(
        help="… after so many rounds in a row whose best the held-out reward finds worse than an "
        "earlier one.",
        rich_help_panel="Stop",
    ),
]
StopKl = Annotated[
    float | None,
    typer.Option(
        help="… once it is so many nats from the model without steering.", rich_help_panel="Stop"
    ),
]

BudgetSamples = Annotated[
    int | None,
    typer.Option(
        help="Most samples of all prompts together, spent where they still pay; each prompt may "
        "then have up to 1.5 times its even share, or --iterations.",
        rich_help_panel="Stop",
    ),
]
WebhookUrl = Annotated[
    str | None,
    typer.Option(
        "--webhook",
        metavar="URL",
        help="Where the gateway posts that the job has ended, signed with the installation's secret.",
        show_default=False,
    ),
]
WebhookEvents = Annotated[
    list[str] | None,
    typer.Option(
        help="What it posts there: job.started, prompt.ended, job.ended (job.ended); may be repeated.",
        show_default=False,
    ),
]


def stop_fields(**limits: float | None) -> dict[str, Any] | None:
    """The ``stop`` of a job from its limits by name; None where nothing was asked for."""
    return {name: value for name, value in limits.items() if value is not None} or None


def webhook_fields(url: str | None, events: list[str] | None) -> dict[str, Any] | None:
    """The ``webhook`` of a job; None where nobody is to be told."""
    if events and url is None:
        raise typer.BadParameter("needs --webhook URL", param_hint="--webhook-event")
    return None if url is None else given_fields(url=url, events=events)


def given_fields(**fields: Any) -> dict[str, Any]:
    """Those that were given: the others have their defaults where the job runs."""
    return {name: value for name, value in fields.items() if value not in (None, [], {})}
