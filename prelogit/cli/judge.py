"""``prelogit judge``: which of two files holds the better answers, by a judge's word."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.table import Table

from prelogit.cli.progress import counted
from prelogit.cli.reporting import FAILED, Json, notes, out, print_json, reported
from prelogit.core.errors import InputError
from prelogit.metrics.win_rate import WinRate, outcome, win_rate

if TYPE_CHECKING:
    from prelogit.data.answers import Turns
    from prelogit.judging import Judged

_ANSWERS = "Results as JSONL, or an sft, preference or alpaca export."


@reported
def judge(
    ours: Annotated[str, typer.Argument(metavar="A", help=_ANSWERS, show_default=False)],
    theirs: Annotated[str, typer.Argument(metavar="B", help=_ANSWERS, show_default=False)],
    url: Annotated[str, typer.Option(help="Of an OpenAI-compatible server.", show_default=False)],
    model: Annotated[str, typer.Option(help="The judge's name there.", show_default=False)],
    key_env: Annotated[
        str | None,
        typer.Option(
            help="NAME of the environment variable that holds the key; none is sent without."
        ),
    ] = None,
    prompts: Annotated[
        str | None,
        typer.Option(help="The file that was submitted: results do not hold their prompts."),
    ] = None,
    to: Annotated[
        Path | None,
        typer.Option("--out", help="FILE.jsonl or FILE.parquet for every verdict; replaced."),
    ] = None,
    max_tokens: Annotated[int, typer.Option(min=1, help="Of one verdict with its reasons.")] = 1024,
    body: Annotated[
        str | None,
        typer.Option(help="JSON object with more fields of a request; null takes one away."),
    ] = None,
    at_once: Annotated[int, typer.Option(min=1, help="Most open requests.")] = 8,
    timeout_seconds: Annotated[float, typer.Option(min=0, help="Of one request.")] = 60.0,
    patience_seconds: Annotated[
        float, typer.Option(min=0, help="How long a silent or busy judge is asked again.")
    ] = 300.0,
    as_json: Json = False,
) -> None:
    """Ask a judge which answers are better, A's or B's: each pair in both orders."""
    from prelogit.data.answers import read_answers
    from prelogit.data.pairs import paired
    from prelogit.data.write import format_of, write_rows
    from prelogit.judging import judge_pairs
    from prelogit.rewards.caller import Patience
    from prelogit.rewards.judge import Judge

    if to is not None:
        format_of(to)
    pairs, missing = paired(read_answers(ours), read_answers(theirs), _turns(prompts))
    if not pairs:
        raise InputError(f"{ours} and {theirs} answer no prompt both: nothing can be compared")
    asked = Judge(
        url,
        model,
        key_env=key_env,
        max_tokens=max_tokens,
        body=_fields(body),
        patience=Patience(timeout_seconds, patience_seconds),
    )
    by_place: dict[int, Judged] = {}
    with counted("pairs", len(pairs), quiet=as_json) as count:

        def on_judged(place: int, one: Judged) -> None:
            by_place[place] = one
            count()

        try:
            asyncio.run(judge_pairs(asked, pairs, requests_at_once=at_once, on_judged=on_judged))
        finally:
            judged = [by_place[place] for place in sorted(by_place)]
            if to is not None and judged:  # verdicts cost: those that came stay
                write_rows(to, map(_row, judged))
    found = win_rate([one.choices for one in judged])
    verdicts = [said for one in judged for said in (one.forward, one.backward)]
    cut = sum(said.choice is None and said.finish_reason == "length" for said in verdicts)
    tokens = sum(said.tokens for said in verdicts)
    if as_json:
        print_json(
            {
                **found._asdict(),
                "judge": model,
                "tokens": tokens,
                "cut": cut,
                "missing": [one._asdict() for one in missing],
            }
        )
    else:
        out.print(_table(found, model, tokens))
        for prompt_id, reason in missing:
            notes.print(f"{prompt_id}: {reason}", highlight=False, markup=False, soft_wrap=True)
        if cut:
            notes.print(f"{cut} verdicts were cut: raise --max-tokens", highlight=False)
    if found.win_rate is None:
        raise typer.Exit(FAILED)


def _turns(prompts: str | None) -> dict[str, Turns] | None:
    """Conversations by the ids that a job gives to the prompts of this file."""
    if prompts is None:
        return None
    from prelogit.data.read import read_prompts
    from prelogit.text import conversation
    from prelogit.wire.jobs import JobRequest

    request = JobRequest(prompts=tuple(read_prompts(prompts))).filled(model="")
    return {item.id or "": conversation(item) for item in request.items}


def _fields(body: str | None) -> dict[str, Any]:
    if body is None:
        return {}
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        fields = None
    if not isinstance(fields, dict) or "messages" in fields:
        raise typer.BadParameter(
            'must be a JSON object such as {"seed": 1}, without messages', param_hint="--body"
        )
    return fields


def _row(one: Judged) -> dict[str, Any]:
    row: dict[str, Any] = {"prompt_id": one.pair.prompt_id, "outcome": outcome(one.choices)}
    for order, said in (("forward", one.forward), ("backward", one.backward)):
        row[order] = said._asdict()
    return row


def _table(found: WinRate, model: str, tokens: int) -> Table:
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_row("judge", f"{model}, {tokens} tokens")
    table.add_row("wins of A", str(found.wins))
    table.add_row("ties", f"{found.ties} (of {found.split} the same place was chosen twice)")
    table.add_row("losses of A", str(found.losses))
    table.add_row("not to be read", f"{found.unparsed} of {found.pairs} pairs")
    table.add_row("win rate of A", _rate(found.win_rate, found.win_rate_se))
    if found.low is not None:
        table.add_row("95% interval", f"{found.low:.3f} to {found.high:.3f}")
    table.add_row("position bias", _rate(found.position_bias, found.position_bias_se))
    return table


def _rate(mean: float | None, error: float | None) -> str:
    if mean is None:
        return "-"
    return f"{mean:.3f}" + (f" ± {error:.3f}" if error is not None else "")
