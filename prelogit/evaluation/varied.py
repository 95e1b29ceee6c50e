"""Methods made from a method: one parameter changed, split into batches, matched in samples."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import Any

from prelogit.core.errors import InputError
from prelogit.evaluation.arms import Arm, arm_params, labelled, with_values, word
from prelogit.wire.params import AISP, Params


def values_of(text: str) -> tuple[str, list[Any]]:
    """``lambda=0.1,0.3`` as a name and its values.

    Raises: InputError: it is not of that form.
    """
    name, _, values = text.partition("=")
    if not name or not values:
        raise InputError(f"{text!r} is not PARAMETER=VALUE,VALUE,…", field="vary")
    return name, [word(value) for value in values.split(",")]


def varied(arm: Arm, texts: Iterable[str]) -> list[Arm]:
    """The method with one parameter changed at a time.

    Raises: InputError: the method has no such parameter, or it cannot have such a value.
    """
    found = []
    for text in texts:
        name, values = values_of(text)
        for value in values:
            params = with_values(arm.fields, {name: value})
            shown = value if isinstance(value, str) else json.dumps(value)
            found.append(Arm(labelled(arm.label, [f"{name}={shown}"]), params))
    return found


def batched(total: int, base: AISP) -> list[Arm]:
    """Batched AISP in the paper's proportions: b prompts of n samples, b * n = total, b rounds.

    So that b prompts cost the decoding rounds of best of ``total``. n is 4 or more.
    Raises: InputError: ``total`` is too small or has no such halves.
    Source: arXiv 2510.26219, Batched AISP (kappa = b, n = N / b).
    """
    arms = []
    b = 2
    while total // b >= 4:
        if total % b == 0:
            # The draw from the final mean is the last of the b rounds.
            changed = {"n": total // b, "iterations": b - 1, "batch_size": b}
            fields = {**Arm("", base).fields, **changed}
            arms.append(Arm(f"aisp (b={b}, n={total // b})", arm_params(fields)))
        b *= 2
    if not arms:
        raise InputError(f"{total} samples cannot be split: give 8, 16, 32, …", field="batched")
    return arms


def batches_of(arms: Iterable[Arm]) -> list[Arm]:
    """The methods with as many prompts in the batch as rounds; none where there is only one.

    One alone may be so by chance, and there is nothing to compare it with.
    """
    found = [arm for arm in arms if isinstance(arm.params, AISP)]
    found = [arm for arm in found if arm.params.rounds == arm.params.batch_size > 1]
    # Of one size the first: another has a parameter changed, which is Table 3's matter.
    sizes = {(arm.params.batch_size, arm.params.samples): arm for arm in reversed(found)}
    return [sizes[size] for size in sorted(sizes)] if len(sizes) > 1 else []


def matched(arms: Sequence[Arm]) -> list[Arm]:
    """A method without n draws as many samples as the largest of the others; no method twice.

    Raises: InputError: two different methods have the same label.
    """
    most = max((one.params.samples for one in arms if not _is_open(one.params)), default=None)
    found: dict[str, Arm] = {}
    for label, params in arms:
        filled: Any = params
        if _is_open(params):
            filled = params.model_copy(update={"n": most or params.samples})
        one = Arm(label, filled)
        found.setdefault(one.key, one)
    labels = [one.label for one in found.values()]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise InputError(
            f"two methods are called {twice!r}: give them labels in a --method-file",
            field="method",
        )
    return list(found.values())


def _is_open(params: Params) -> bool:
    return getattr(params, "n", 1) is None
