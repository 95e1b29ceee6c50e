"""A weighted sum of other hosted rewards, as they are or standardised for each prompt.

Torch-free. With ``normalize="prompt"`` each member's scores become z-scores over the responses
to the same conversation in the call, so that members of different scales weigh alike. Such a
score says how a response stands among those it came with, and nothing beyond the call.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from statistics import fmean, pstdev
from typing import Literal

from prelogit.core.errors import InputError, RewardAnswerError
from prelogit.rewards.answers import finite
from prelogit.rewards.hosted.derived import derived_fingerprint
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored, Whole, only_texts

Normalize = Literal["none", "prompt"]
ALIKE = 1e-9  # scores that differ by less, relative to their size, are ties


def make_ensemble(
    name: str,
    members: Sequence[tuple[HostedReward, float]],
    *,
    normalize: Normalize = "none",
    description: str | None = None,
) -> HostedReward:
    """The sum of each member's score times its weight.

    The members may be in use elsewhere at the same time: they must be safe to call from
    several threads (``derived.locked``).
    """
    text: Callable[[Sequence[Whole]], Scored] | None = None
    scorers = [hosted.score_text for hosted, _ in members]
    if normalize == "none" and all(scorers):

        def text(items: Sequence[Whole]) -> Scored:
            texts = only_texts(name, items)  # ids would be of one member's tokenizer
            scored = [score_text(texts) for score_text in scorers if score_text is not None]
            return _sum(members, scored, [range(len(texts))], normalize)

    def score(conversations: Sequence[Conversation], responses: Sequence[str]) -> Scored:
        groups = _prompts(conversations)
        if normalize == "prompt":
            _refuse_single(name, groups)
        scored = [hosted.score(conversations, responses) for hosted, _ in members]
        return _sum(members, scored, groups, normalize)

    terms = " + ".join(f"{weight:g} x {hosted.name}" for hosted, weight in members)
    relative = normalize == "prompt" or any(hosted.relative for hosted, _ in members)
    weights = [weight for _, weight in members]
    return HostedReward(
        name=name,
        kind="ensemble",
        description=description
        or terms + (", standardised for each prompt" if normalize == "prompt" else ""),
        fingerprint=derived_fingerprint(
            [hosted.fingerprint for hosted, _ in members],
            {"weights": weights, "normalize": normalize},
        ),
        low=None if relative else _bound(members, low=True),
        high=None if relative else _bound(members, low=False),
        score=score,
        score_text=text,
        relative=relative,
    )


def _prompts(conversations: Sequence[Conversation]) -> list[Sequence[int]]:
    """Places of the items of each conversation."""
    groups: dict[tuple[tuple[str, str], ...], list[int]] = {}
    for place, conversation in enumerate(conversations):
        key = tuple((turn["role"], turn["content"]) for turn in conversation)
        groups.setdefault(key, []).append(place)
    return list(groups.values())


def _refuse_single(name: str, groups: Sequence[Sequence[int]]) -> None:
    for places in groups:
        if len(places) == 1:
            raise InputError(
                f"the reward {name!r} compares the responses to a conversation with each other, and "
                f"conversation {places[0]} has one in this call: ask for several at a time, or set "
                'the reward\'s normalize to "none"',
                field=f"conversations[{places[0]}]",
            )


def _sum(
    members: Sequence[tuple[HostedReward, float]],
    scored: Sequence[Scored],
    groups: Sequence[Sequence[int]],
    normalize: Normalize,
) -> Scored:
    count = sum(len(places) for places in groups)
    total = [0.0] * count
    for (hosted, weight), each in zip(members, scored, strict=True):
        try:
            scores = finite(each.scores, count)
        except RewardAnswerError as error:
            raise RewardAnswerError(f"{hosted.name!r}, a member of an ensemble: {error}") from None
        if normalize == "prompt":
            scores = _standardised(scores, groups)
        total = [sum_ + weight * score for sum_, score in zip(total, scores, strict=True)]
    tokens = [sum(costs) for costs in zip(*(each.tokens for each in scored), strict=True)]
    cut = [each.truncated for each in scored if each.truncated is not None]
    return Scored(total, tokens, [any(item) for item in zip(*cut, strict=True)] if cut else None)


def _standardised(scores: Sequence[float], groups: Sequence[Sequence[int]]) -> list[float]:
    """Z-scores within each group; where all tie, all are 0."""
    found = [0.0] * len(scores)
    for places in groups:
        values = [scores[place] for place in places]
        mean, spread = fmean(values), pstdev(values)
        if spread > ALIKE * max(map(abs, values)):
            for place in places:
                found[place] = (scores[place] - mean) / spread
    return found


def _bound(members: Sequence[tuple[HostedReward, float]], *, low: bool) -> float | None:
    total = 0.0
    for hosted, weight in members:
        bound = hosted.low if low == (weight > 0) else hosted.high
        if bound is None:
            return None
        total += weight * bound
    return total
