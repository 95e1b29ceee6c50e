"""Collect the states that a value network is trained on, in this process, and go on where it stopped."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from prelogit.align import align, prompts_of
from prelogit.core.errors import InputError
from prelogit.core.records import Iteration
from prelogit.engine.load import Model
from prelogit.rewards.protocol import Score
from prelogit.solve import prompt_tokens
from prelogit.value.use import Values, recorder_for
from prelogit.wire.jobs import JobRequest, PromptItem
from prelogit.wire.params import CollectStates


class Collected(NamedTuple):
    """What a collection came to. failed: the reason by prompt id; already: prompts of earlier runs."""

    prompts: int
    responses: int
    already: int
    failed: dict[str, str]


def collect_states(
    model: Model,
    prompts: Sequence[str | PromptItem | Mapping[str, Any]],
    reward: Score,
    method: CollectStates,
    *,
    max_new_tokens: int = 64,
    seed: int = 0,
    template: Literal["chat", "none"] = "chat",
    home: Path | str | None = None,
    on_prompt: Callable[[str], None] = lambda prompt_id: None,
) -> Collected:
    """Sample responses, score them, and store every pre-logit in PRELOGIT_HOME/values/NAME/states.

    Each prompt is stored when it has been scored; a collection that was interrupted is asked
    for again with the same arguments, and draws only what is missing.

    Args:    on_prompt: told the id of each prompt that was drawn.
    Returns: how many prompts and responses were drawn now, and what there was already.
    Raises:  InputError: the value has states of another model, reward or way of sampling.
    """
    request = JobRequest(
        prompts=prompts_of(prompts),
        method=method,
        max_new_tokens=max_new_tokens,
        seed=seed,
        template=template,
    ).filled(model=model.name)
    recorder = recorder_for(request, Values(home), model=model.ref, dim=model.dim)
    assert recorder is not None  # noqa: S101 - the method collects
    missing = []
    for item in request.items:
        try:
            token_ids = prompt_tokens(model, item, request)
        except InputError:  # told as that prompt's failure below
            missing.append(item)
            continue
        if not recorder.has(item.id or "", token_ids):
            missing.append(item)

    def drawn(prompt_id: str, arm: int, row: Iteration) -> None:
        on_prompt(prompt_id)

    results = []
    if missing:
        results = align(
            model,
            missing,
            reward,
            method=method,
            max_new_tokens=max_new_tokens,
            seed=seed,
            template=template,
            on_iteration=drawn,
            home=home,
        )
    failed = {one.prompt_id: one.error or "" for one in results if one.status != "succeeded"}
    return Collected(
        prompts=len(results) - len(failed),
        responses=sum(one.samples for one in results),
        already=len(request.items) - len(missing),
        failed=failed,
    )
