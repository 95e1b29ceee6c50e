"""Whether a reward can be trusted: a fixed set of golden texts, scored in every way that may differ.

What makes its numbers worthless is refused; all else is written down, with warnings.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, NamedTuple

from prelogit.core.errors import (
    InputError,
    PrelogitError,
    RewardAnswerError,
    RewardUnavailableError,
)
from prelogit.rewards.probe_calls import Alone, Asked, one_by_one, refuses
from prelogit.rewards.probe_numbers import Gap, gap, misplaced, rounding, saturation, scale
from prelogit.rewards.probe_texts import GOLDEN, Item, empty, marked, ordinary, over_long, spaced
from prelogit.rewards.probe_tokens import more_tokens_than_sent
from prelogit.rewards.probe_warnings import Seen, warnings
from prelogit.rewards.protocol import Score, Scores
from prelogit.wire.probe import Outcome, Probe, ProbeLatency, ProbeScale, ProbeText


async def probe(score: Score, *, reward: Any = None) -> Probe:
    """The report on a reward, from some 70 responses in some 25 calls.

    Args:   reward: the reward itself, where ``score`` is something around it.
    Raises: RewardAnswerError: NaN, a wrong count, scores that do not follow their responses, or that
            differ with the batch by more than the texts do. RewardUnavailableError: no answer.
    """
    reward = score if reward is None else reward
    asked = Asked(score)
    items = ordinary()
    alone = await one_by_one(asked, items)
    kept = [item for item in items if item.name not in alone.refused]
    together = await asked(kept)
    turned, seconds = await _turned(asked, kept)
    rewards = together.rewards.tolist()
    found = scale(rewards)
    batch = _alone_against_batch(kept, items, alone, rewards)
    order = gap(rewards, turned)
    _refuse(found, batch, order)
    # A reward that compares the responses of a call makes much of any difference between them.
    spaces = None if alone.whole else await _changed(asked, *spaced())
    markers = None if alone.whole else await _changed(asked, *marked())
    odd = _cut_ones(kept, together) + _refused_ones(items, alone.refused)
    odd += [await _odd(asked, item, alone) for item in empty()]
    lengths = await _lengths(asked, alone)
    more_tokens = await more_tokens_than_sent(reward, asked, items[0])
    bounds = await bounds_of(reward)
    on_topic, pairs = _on_topic(kept, rewards)
    report = Probe(
        reward=together.reward.name,
        fingerprint=together.reward.fingerprint,
        at=datetime.now(UTC),
        scale=found,
        bounds=bounds,
        saturation=saturation(rewards, bounds),
        alone="conversation" if alone.whole else "response",
        batch=batch.told(found.std),
        order=order.told(found.std),
        spaces=None if spaces is None else spaces.gap.told(found.std),
        markers=None if markers is None else markers.gap.told(found.std),
        on_topic=on_topic,
        pairs=pairs,
        odd=(*odd, *lengths.texts),
        latency=ProbeLatency(
            single_seconds=alone.single_seconds,
            responses_per_second=len(kept) / max(1e-9, min(together.seconds, seconds)),
        ),
        calls=asked.calls,
        tokens=asked.tokens,
    )
    seen = Seen(
        end_unread=lengths.end_unread,
        markers_help=markers is not None and markers.clearer(0.25 * found.std),
        more_tokens=more_tokens,
    )
    return report.model_copy(update={"warnings": tuple(warnings(report, seen, reward))})


async def fingerprint_now(score: Score) -> str | None:
    """The fingerprint of the model that answers now, from two responses.

    Raises: as ``Score``.
    """
    golden = GOLDEN[0]
    scores = await score([golden.conversation, golden.conversation], [golden.good, golden.bad])
    return scores.reward.fingerprint


async def bounds_of(reward: Any) -> tuple[float, float] | None:
    """What a reward says of its own range."""
    if hasattr(reward, "told_bounds"):
        told: tuple[float, float] | None = await reward.told_bounds()
        return told
    hosted = getattr(reward, "hosted", None)
    bounds = (hosted.low, hosted.high) if hosted is not None else getattr(reward, "bounds", None)
    return None if bounds is None or None in bounds else (float(bounds[0]), float(bounds[1]))


async def _turned(asked: Asked, items: Sequence[Item]) -> tuple[list[float], float]:
    """The rewards of a call in another order, put back into the first one; its seconds."""
    places = [*range(1, len(items), 2), *range(0, len(items), 2)][::-1]
    scores = await asked([items[place] for place in places])
    found = dict(zip(places, scores.rewards.tolist(), strict=True))
    return [found[place] for place in range(len(items))], scores.seconds


def _alone_against_batch(
    kept: Sequence[Item], items: Sequence[Item], alone: Alone, rewards: Sequence[float]
) -> Gap:
    by_item = {(item.name, item.kind): reward for item, reward in zip(kept, rewards, strict=True)}
    pairs = [
        (reward, by_item[items[place].name, items[place].kind])
        for place, reward in alone.rewards.items()
    ]
    return gap([one for one, _ in pairs], [other for _, other in pairs])


def _refuse(found: ProbeScale, batch: Gap, order: Gap) -> None:
    """
    Raises: RewardAnswerError: the numbers do not belong to the responses.
    """
    for seen, when in (
        (order, "the same responses came in another order"),
        (batch, "responses that had been scored alone came in a batch"),
    ):
        if misplaced(seen, found.std):
            raise RewardAnswerError(
                f"the rewards do not follow their responses: when {when}, the same numbers came back in "
                f"other places (a reward changed by {seen.largest:.3g}, and the golden texts' standard "
                f"deviation is {found.std:.3g}): the reward must answer in the order of the request"
            )
    for seen, when in (
        (batch, "in a batch and alone"),
        (order, "in two orders"),
    ):
        if seen.rms > max(found.std, rounding(found)):
            raise RewardAnswerError(
                f"the same text has another reward {when}: by {seen.rms:.3g} on average, which is more than "
                f"the rewards of different texts differ (standard deviation {found.std:.3g}), so that they "
                "say nothing: look for padding that is read as text, for cutting, and for chance"
            )


class _Changed(NamedTuple):
    plain: list[float]
    other: list[float]

    @property
    def gap(self) -> Gap:
        return gap(self.plain, self.other)

    def clearer(self, by: float) -> bool:
        """The first half stands higher above the second where it is changed, every one of it."""
        half = len(self.plain) // 2
        before = [a - b for a, b in zip(self.plain[:half], self.plain[half:], strict=True)]
        after = [a - b for a, b in zip(self.other[:half], self.other[half:], strict=True)]
        return all(b - a > by for a, b in zip(before, after, strict=True))


async def _changed(asked: Asked, plain: Sequence[Item], other: Sequence[Item]) -> _Changed | None:
    """Texts beside their changed forms, in one call; None where they are refused."""
    try:
        scores = await asked([*plain, *other])
    except PrelogitError as error:
        if not refuses(error):
            raise
        return None
    values = scores.rewards.tolist()
    return _Changed(values[: len(plain)], values[len(plain) :])


def _on_topic(items: Sequence[Item], rewards: Sequence[float]) -> tuple[int, int]:
    """How many good answers have more than one to another question, and of how many."""
    by_item = {(item.name, item.kind): reward for item, reward in zip(items, rewards, strict=True)}
    names = {item.name for item in items}
    won = sum(by_item[name, "good"] > by_item[name, "off-topic"] for name in names)
    return won, len(names)


def _cut_ones(items: Sequence[Item], scores: Scores) -> list[ProbeText]:
    """Ordinary texts that the reward did not read whole."""
    flags = scores.truncated or ()
    return [
        _text(item, "cut", float(reward))
        for item, reward, cut in zip(items, scores.rewards.tolist(), flags, strict=False)
        if cut
    ]


def _refused_ones(items: Sequence[Item], refused: dict[str, str]) -> list[ProbeText]:
    first = {item.name: item for item in reversed(items)}
    return [_text(first[name], "refused", reason=reason) for name, reason in refused.items()]


class _Lengths(NamedTuple):
    texts: list[ProbeText]
    end_unread: bool


async def _lengths(asked: Asked, alone: Alone) -> _Lengths:
    """Over-long texts; that the end is not read is seen where another end changes nothing."""
    response, other, prompt = over_long()
    texts: list[ProbeText] = []
    end_unread = False
    try:
        first = await _odd(asked, response, alone)
        texts.append(first)
        if first.outcome in ("whole", "not told"):
            second = await _odd(asked, other, alone)
            end_unread = second.reward is not None and second.reward == first.reward
        texts.append(await _odd(asked, prompt, alone))
    except RewardUnavailableError as error:  # it may have died of it: the search asks it again
        texts.append(_text(prompt if texts else response, "refused", reason=str(error)))
    return _Lengths(texts, end_unread)


async def _odd(asked: Asked, item: Item, alone: Alone) -> ProbeText:
    """What becomes of a text that a reward may refuse, which does not fail the probe.

    Raises: RewardUnavailableError.
    """
    beside = [ordinary()[0]._replace(conversation=item.conversation)] if alone.whole else []
    try:
        scores = await asked([item, *beside])
    except (RewardAnswerError, InputError) as error:
        return _text(item, "refused", reason=str(error))
    told = scores.truncated
    outcome: Outcome = "not told" if told is None else "cut" if told[0] else "whole"
    return _text(item, outcome, float(scores.rewards[0]))


def _text(
    item: Item, outcome: Outcome, reward: float | None = None, *, reason: str | None = None
) -> ProbeText:
    characters = len(item.response) + sum(len(turn["content"]) for turn in item.conversation)
    name = item.name if item.kind in ("empty", "over-long") else f"{item.name}, {item.kind} answer"
    return ProbeText(
        text=name, characters=characters, outcome=outcome, reward=reward, reason=reason
    )
