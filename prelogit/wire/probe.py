"""What a probe found out about a reward before a search trusts it."""

from __future__ import annotations

from typing import Literal

from pydantic import AwareDatetime

from prelogit.core.records import Record

Outcome = Literal["whole", "cut", "not told", "refused"]


class ProbeScale(Record):
    """Rewards of the golden texts: mean, standard deviation and range; ``distinct``: how many differ."""

    mean: float
    std: float
    low: float
    high: float
    distinct: int


class ProbeSaturation(Record):
    """A bounded reward. ``crowded``: the share of the golden texts whose rewards stand at an end."""

    low: float
    high: float
    crowded: float


class ProbeDifference(Record):
    """The largest difference between rewards of the same text; ``relative`` to the std, if there is one.

    texts: how many were compared.
    """

    largest: float
    relative: float | None
    texts: int


class ProbeText(Record):
    """What became of a text that is not like the others.

    outcome: "whole" or "cut" as the reward says, "not told" where it gave a number and says
    neither, "refused" for the reason. reward: None where it was refused.
    """

    text: str
    characters: int
    outcome: Outcome
    reward: float | None = None
    reason: str | None = None


class ProbeLatency(Record):
    """single_seconds: of a call with one response, the median. responses_per_second: of a batch."""

    single_seconds: float
    responses_per_second: float


class Probe(Record):
    """The report of a probe; what is wrong past use is an error instead.

    Attributes:
        reward, fingerprint: who scored. at: when.
        bounds: lowest and highest reward, where the reward says them itself.
        saturation: None where nothing bounds the rewards.
        batch: a text alone against the same one in a batch; ``alone`` says how it stood alone: as a
            response, or with the other responses to its conversation, where a reward compares them.
        order: the batch in another order. spaces: with spaces and line breaks behind the response.
        markers: with a chat template's markers written into the text.
        on_topic: how often a good answer had more than one to another question, of ``pairs``.
        odd: over-long texts, empty responses, and texts that the reward did not take whole.
        warnings: sentences, each with its cure.
    """

    reward: str
    fingerprint: str | None = None
    at: AwareDatetime
    scale: ProbeScale
    bounds: tuple[float, float] | None = None
    saturation: ProbeSaturation | None = None
    alone: Literal["response", "conversation"] = "response"
    batch: ProbeDifference
    order: ProbeDifference
    spaces: ProbeDifference | None = None
    markers: ProbeDifference | None = None
    on_topic: int
    pairs: int
    odd: tuple[ProbeText, ...] = ()
    latency: ProbeLatency
    calls: int
    tokens: int = 0
    warnings: tuple[str, ...] = ()
