"""What a probe warns of: one sentence each, with its cure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from prelogit.rewards.probe_numbers import alike
from prelogit.rewards.servers.reward import ServerReward
from prelogit.wire.probe import Probe, ProbeText

NO_NOISE = 0.01  # of the standard deviation: what no search notices
ROUNDED = 0.1  # as much as half precision makes of it
TINY = 0.05  # a standard deviation that no trained head has over such different texts
CROWD = 0.1  # share of the golden texts
SPACES = 0.25  # of the standard deviation
_RAW = {
    "prelogit": "host the model as a classifier, whose reward is the raw logit, or leave the activation out "
    "of your function",
    "sglang": "serve the model without an activation in its own code",
    "openrlhf": "serve the model without an activation in its own code",
    "infinity": "use a version of the server that heeds raw_scores",
    "tei": "use a version of the server that heeds raw_scores",
    "judge": "ask for finer grades by instructions, or use form=yes-no, whose log-odds have no end",
}
_VLLM = "start the server with --pooler-config '{\"use_activation\": false}'"


class Seen(NamedTuple):
    """What the report itself does not hold."""

    end_unread: bool
    markers_help: bool
    more_tokens: int


def warnings(report: Probe, seen: Seen, reward: Any) -> Iterator[str]:
    """Sentences for a person, the gravest first."""
    if alike(report.scale):
        yield (
            f"all golden texts have the reward {report.scale.mean:.6g}, which steers nothing: check that the "
            "reward reads the responses, that the label is the right one, and that nothing rounds its numbers"
        )
        return
    yield from _topic(report)
    yield from _saturated(report, reward)
    yield from _template(seen)
    yield from _batch(report)
    yield from _spaces(report)
    yield from _lengths(report, seen)


def _topic(report: Probe) -> Iterator[str]:
    if report.on_topic > report.pairs // 2:
        return
    told = (
        f"good answers beat answers to another question in {report.on_topic} of {report.pairs} golden "
        "conversations only"
    )
    if report.scale.std < TINY:
        yield (
            f"{told}, and the rewards hardly differ (standard deviation {report.scale.std:.2g}), as with a "
            "head that was never trained: load the checkpoint of the reward model itself, and look in the "
            "log for weights that were newly initialized"
        )
    else:
        yield (
            f"{told}: well with a reward that does not look at the question, but a reward model should; check "
            "its checkpoint, its label, its sign (larger is better) and its chat template"
        )


def _saturated(report: Probe, reward: Any) -> Iterator[str]:
    protocol = reward.protocol.name if isinstance(reward, ServerReward) else "prelogit"
    found = report.saturation
    if isinstance(reward, ServerReward) and reward.settings.activation:
        yield (
            f"the server's activation is on ({_range(report)}): a sigmoid makes good responses almost equal, so "
            "that the search no longer sees which is better; leave out activation, and raw numbers are asked for"
        )
    elif found is not None and found.crowded >= CROWD:
        cure = _VLLM if protocol.startswith("vllm") else _RAW[protocol]
        yield (
            f"all rewards lie within {found.low:g} and {found.high:g}, {found.crowded:.0%} of them at an end, as a "
            "sigmoid makes them: differences between good responses vanish there, so that the search no longer "
            f"sees which is better; {cure}"
        )


def _range(report: Probe) -> str:
    low, high = report.bounds or (report.scale.low, report.scale.high)
    return f"{low:g} to {high:g}"


def _template(seen: Seen) -> Iterator[str]:
    if seen.more_tokens:
        yield (
            f"the server reads {seen.more_tokens} tokens more than were sent to it with the chat template "
            "applied: a second BOS if it is 1, a second template if there are many; start it without a chat "
            "template and so that it adds no special tokens, or leave out tokenizer here"
        )
    if seen.markers_help:
        yield (
            "good answers stand out more where the turns carry a chat template's markers as text: perhaps no "
            "template is applied to the conversations; give the reward its chat template"
        )


def _batch(report: Probe) -> Iterator[str]:
    relative = max(report.batch.relative or 0.0, report.order.relative or 0.0)
    largest = max(report.batch.largest, report.order.largest)
    if relative <= NO_NOISE:
        return
    told = (
        f"the same text has another reward alone, in a batch or in another order, by up to {largest:.2g} "
        f"({relative:.0%} of the standard deviation)"
    )
    if relative <= ROUNDED:
        yield (
            f"{told}, as half precision makes it: differences so small between responses mean nothing; run the "
            "reward in float32 if they matter"
        )
    else:
        yield (
            f"{told}, which is more than rounding does: look for padding that is read as text, for a judge that "
            "samples (temperature), and for cutting that depends on the batch"
        )


def _spaces(report: Probe) -> Iterator[str]:
    if report.spaces is None or (report.spaces.relative or 0.0) <= SPACES:
        return
    if report.spaces.largest <= 2 * max(report.batch.largest, report.order.largest):
        return  # the noise of any call
    yield (
        f"spaces or line breaks behind a response move its reward by up to {report.spaces.largest:.2g} "
        f"({report.spaces.relative or 0.0:.0%} of the standard deviation): a search may collect them; have the "
        "reward strip what it reads"
    )


def _lengths(report: Probe, seen: Seen) -> Iterator[str]:
    refused = [one for one in report.odd if one.outcome == "refused"]
    # Of a text that is over-long on purpose it is enough to know; a candidate says it by itself.
    cut = [
        one for one in report.odd if one.outcome == "cut" and not one.text.startswith("over-long")
    ]
    if refused:
        yield (
            f"it refuses {_names(refused)}, and a prompt with such a text fails: {refused[0].reason}"
        )
    if cut:
        yield (
            f"it does not read all of {_names(cut)}: what lies beyond its length is not judged; keep "
            "max_new_tokens and the prompts below it"
        )
    if seen.end_unread:
        yield (
            "an over-long response has the same reward with another end, which it seems not to read, and it does "
            "not say so: keep max_new_tokens below its length, or set its truncation"
        )


def _names(texts: list[ProbeText]) -> str:
    names = list(dict.fromkeys(f"{one.text} ({one.characters:,} characters)" for one in texts))
    return ", ".join(names)
