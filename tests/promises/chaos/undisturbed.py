"""What every job finds when nothing happens: the library in this process, on the same model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from prelogit.align import AlignedResult, align
from prelogit.engine.load import load_model
from prelogit.rewards.load import load_reward
from prelogit.wire.jobs import JobRequest
from tests.promises.chaos.reward import quick


def answers(model: str, works: Mapping[str, dict[str, Any]]) -> dict[str, dict[str, AlignedResult]]:
    """Results by prompt id, of requests by job id."""
    loaded = load_model(model, device="cpu", dtype="float32")
    reward = load_reward(quick)
    found = {}
    for job_id, body in works.items():
        request = JobRequest.model_validate(body)
        results = align(
            loaded,
            list(request.items),
            reward,
            method=request.method,
            baselines=request.baselines,
            max_new_tokens=request.max_new_tokens,
            seed=request.seed,
            budget=request.budget,
        )
        found[job_id] = {result.prompt_id: result for result in results}
    return found
