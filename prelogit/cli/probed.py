"""A probe's report as a person reads it, and the reward that a name means here."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager, nullcontext
from pathlib import Path
from typing import Any, NamedTuple

import httpx
from rich.table import Table
from rich.text import Text

from prelogit.core.errors import InputError
from prelogit.wire.probe import Probe, ProbeDifference

PATIENCE_SECONDS = 10.0  # a person waits


class Found(NamedTuple):
    """A reward and where it is, in words."""

    reward: Any
    place: str


def find(name: str, home: Path | None) -> Found:
    """The reward of that name: a URL, ``module:callable``, one of the installation, or the library's.

    Raises: InputError: there is none. ModelError: it cannot be loaded. LaunchError: a wrong setting.
    """
    from prelogit.launch.note import running_note
    from prelogit.launch.settings import up_settings
    from prelogit.launch.stack import REWARD_HOST
    from prelogit.rewards.load import NAMED, load_reward
    from prelogit.rewards.service import ServiceReward

    patience = {"patience_seconds": PATIENCE_SECONDS}
    if "://" in name:
        own = "patience_seconds=" in name
        return Found(load_reward(name, **({} if own else patience)), "at its URL")
    if ":" in name:
        return Found(load_reward(name), "in this process")
    settings = up_settings(home=home)
    # That of the stack which runs, whatever port it was told on its command line.
    port = running_note(settings.home).get("reward_port", settings.reward_port)
    url = settings.reward_url or f"http://{REWARD_HOST}:{port}"
    shown, hosted = _hosted(url)
    if hosted is not None and name in hosted:
        return Found(ServiceReward(url, name, patience_seconds=PATIENCE_SECONDS), f"at {shown}")
    if name in NAMED:
        return Found(load_reward(name), "in this process")
    told = (
        f"no reward service answers at {shown}: start it with `prelogit up`, or set PRELOGIT_REWARD_URL"
        if hosted is None
        else f"the reward service at {shown} hosts {', '.join(hosted) or 'none'}"
    )
    raise InputError(
        f"there is no reward {name!r} here ({told}); give a hosted name, {', '.join(NAMED)}, a URL such as "
        "vllm-classify+http://127.0.0.1:8000, or module:callable",
        field="reward",
    )


def probed(reward: Any) -> Probe:
    """
    Raises: RewardAnswerError: it is not to be trusted. RewardUnavailableError: it does not answer.
    """
    import asyncio

    from prelogit.rewards.probe import probe

    async def run() -> Probe:
        connected: AbstractAsyncContextManager[Any] = (
            reward if hasattr(reward, "__aenter__") else nullcontext()
        )
        async with connected:
            return await probe(reward)

    return asyncio.run(run())


def probe_table(report: Probe, place: str) -> Table:
    """All of a report on one screen."""
    table = Table.grid(padding=(0, 2))
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    mark = "" if report.fingerprint is None else f", fingerprint {report.fingerprint[:12]}"
    scale = report.scale
    rows = {
        "reward": f"{report.reward} {place}{mark}",
        "scale": f"mean {scale.mean:.4g}, standard deviation {scale.std:.3g}, {scale.low:.4g} to {scale.high:.4g}"
        f" ({scale.distinct} different of {report.pairs * 3} golden texts)",
        "bounds": _bounds(report),
        "on topic": f"good answers beat those to another question in {report.on_topic} of {report.pairs}",
        "batch": f"{_difference(report.batch)}, {_alone(report)} against all in one call",
        "order": f"{_difference(report.order)}, in another order",
        "spaces": _difference(report.spaces),
        "markers": _difference(report.markers),
        "latency": f"{report.latency.single_seconds:.3g} s alone; in a batch "
        f"{report.latency.responses_per_second:.4g} responses a second",
        "cost": f"{report.calls} calls" + (f", {report.tokens:,} tokens" if report.tokens else ""),
    }
    for name, told in rows.items():
        table.add_row(name, Text(told))
    for one in report.odd:
        more = "" if one.reward is None else f", reward {one.reward:.4g}"
        told = f"{one.outcome}{more}" if one.reason is None else f"{one.outcome}: {one.reason}"
        table.add_row("text", Text(f"{one.text} ({one.characters:,} characters): {told}"))
    for warning in report.warnings:
        table.add_row("warning", Text(warning, style="yellow"))
    if not report.warnings:
        table.add_row("warnings", Text("none", style="green"))
    return table


def _hosted(url: str) -> tuple[str, list[str] | None]:
    """The service's address as it may be shown, and its rewards; None: it does not answer."""
    from prelogit.rewards.address import parse_address

    address = parse_address(url, field="PRELOGIT_REWARD_URL")
    try:
        answer = httpx.get(
            f"{address.url}/v1/rewards",
            auth=address.login,
            timeout=5.0,
            trust_env=not address.loopback,
        )
        body = answer.raise_for_status().json()
        listed = body.get("data", []) if isinstance(body, dict) else body
        return address.shown, [str(one["name"]) for one in listed]
    except (httpx.HTTPError, ValueError, KeyError, TypeError):
        return address.shown, None


def _difference(found: ProbeDifference | None) -> str:
    if found is None:
        return "not told"
    relative = "" if found.relative is None else f" ({found.relative:.2%} of the deviation)"
    return f"differs by up to {found.largest:.3g}{relative}, {found.texts} texts"


def _alone(report: Probe) -> str:
    return "each alone" if report.alone == "response" else "each conversation alone"


def _bounds(report: Probe) -> str:
    if report.saturation is None:
        return (
            "none seen"
            if report.bounds is None
            else f"{report.bounds[0]:g} to {report.bounds[1]:g}"
        )
    found = report.saturation
    said = "as it says itself" if report.bounds is not None else "as seen"
    return f"{found.low:g} to {found.high:g} {said}, {found.crowded:.0%} of the texts at an end"
