"""A job's reward is probed once, before its first round, and the report is stored with the job."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from typing import NamedTuple

from db import probes
from db.session import reading
from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.rewards.probe import fingerprint_now, probe
from prelogit.rewards.protocol import Score
from prelogit.wire.probe import Probe
from workers.desk import Desk
from workers.reward import reward_of
from workers.waiting import while_wanted
from workers.writer import Writer

log = logging.getLogger("prelogit.workers.probing")

FRESH_SECONDS = 3600.0


class Kept(NamedTuple):
    """A report that this worker made, and when."""

    report: Probe
    at: float


def to_be_probed(desk: Desk, writer: Writer) -> bool:
    """Whether the job has no report yet, and is to have one."""
    if desk.settings.reward_probe == "off":
        return False
    with reading(desk.store) as session:
        return not probes.known(session, writer.claim.job_id)


async def probe_reward(desk: Desk, writer: Writer, wanted: Callable[[], bool]) -> None:
    """Probe the job's reward, or take what was found out lately, and store it.

    Raises: RewardAnswerError: it is not to be trusted. RewardUnavailableError: it does not answer.
            InputError: this worker may not use it. Unwanted.
    """
    named = writer.claim.request.reward
    reward = reward_of(named, desk.settings)
    key = named.model_dump_json()
    async with reward:
        score = while_wanted(reward, wanted, grace_seconds=desk.settings.stop_wait_seconds)
        report = await _fresh(desk.probes.get(key), score)
        if report is None:
            report = await probe(score, reward=reward)
            desk.probes[key] = Kept(report, time.monotonic())
    writer.probed(report)
    log.info(
        "probed job=%s reward=%r mean=%.4g std=%.3g calls=%d warnings=%d",
        *(writer.claim.job_id, report.reward, report.scale.mean, report.scale.std),
        *(report.calls, len(report.warnings)),
    )


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
