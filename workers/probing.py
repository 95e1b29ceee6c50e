"""A job's rewards are probed once, before its first round, and the reports are stored with the job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from db import probes
from db.session import reading
from prelogit.core.errors import InputError, RewardAnswerError, RewardError
from prelogit.rewards.probe import fingerprint_now, probe
from prelogit.rewards.protocol import Score
from prelogit.scoring import named_held_out
from prelogit.wire.probe import Probe
from prelogit.wire.reward import RewardRef
from workers.desk import Desk, Kept
from workers.reward import reward_of
from workers.waiting import while_wanted
from workers.writer import Writer

log = logging.getLogger("prelogit.workers.probing")

FRESH_SECONDS = 3600.0


class Unprobed(NamedTuple):
    """A reward of a job that has no report yet."""

    reward: RewardRef
    held_out: bool


def to_be_probed(desk: Desk, writer: Writer) -> list[Unprobed]:
    """The job's rewards that have no report yet and are to have one, the one that steers first."""
    if desk.settings.reward_probe == "off":
        return []
    request = writer.claim.request
    named = [Unprobed(request.reward, held_out=False)]
    if request.held_out is not None:
        named.append(Unprobed(request.held_out, held_out=True))
    with reading(desk.store) as session:
        return [
            one
            for one in named
            if not probes.known(session, writer.claim.job_id, held_out=one.held_out)
        ]


async def probe_rewards(
    desk: Desk, writer: Writer, missing: Sequence[Unprobed], wanted: Callable[[], bool]
) -> None:
    """Probe these rewards one after the other, or take what was found out lately, and store it.

    Raises: RewardAnswerError: one is not to be trusted; it says so where it is the held-out one.
            RewardUnavailableError: it does not answer. InputError: this worker may not use it. Unwanted.
    """
    for one in missing:
        try:
            report = await _report(desk, one.reward, wanted)
        except RewardError as error:
            if not one.held_out:
                raise
            raise named_held_out(error) from error
        writer.probed(report, held_out=one.held_out)
        log.info(
            "probed job=%s %s=%r mean=%.4g std=%.3g calls=%d warnings=%d",
            *(writer.claim.job_id, "held_out" if one.held_out else "reward", report.reward),
            *(report.scale.mean, report.scale.std, report.calls, len(report.warnings)),
        )


async def _report(desk: Desk, named: RewardRef, wanted: Callable[[], bool]) -> Probe:
    reward = reward_of(named, desk.settings)
    key = named.model_dump_json()
    async with reward:
        score = while_wanted(reward, wanted, grace_seconds=desk.settings.stop_wait_seconds)
        report = await _fresh(desk.probes.get(key), score)
        if report is None:
            report = await probe(score, reward=reward)
            desk.probes[key] = Kept(report, time.monotonic())
    return report


async def _fresh(kept: Kept | None, score: Score) -> Probe | None:
    """The report that is kept, where it is of this hour and of the model that answers now."""
    if kept is None or time.monotonic() - kept.at > FRESH_SECONDS:
        return None
    if kept.report.fingerprint is None:
        return kept.report
    try:
        same = await fingerprint_now(score) == kept.report.fingerprint
    except (RewardAnswerError, InputError):
        return None  # the probe says why
    return kept.report if same else None
