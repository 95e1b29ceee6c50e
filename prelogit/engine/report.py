"""What a worker says of its engine, for users to see with their job."""

from __future__ import annotations

from prelogit.core.memory import USUAL_PROMPT_TOKENS
from prelogit.engine.load import Model
from prelogit.wire.jobs import EngineMemory, JobEngine


def report(model: Model, new_tokens: int) -> JobEngine:
    """The engine of a model as it stands now, for a job of so many tokens an answer."""
    plan = model.memory
    return JobEngine(
        device=str(model.head.device),
        dtype=str(model.module.dtype).removeprefix("torch."),
        attention=model.attention,
        rows=model.limit.rows,
        memory=EngineMemory(
            budget_bytes=plan.budget_bytes,
            weights_bytes=plan.weights_bytes,
            row_bytes=plan.row_bytes(USUAL_PROMPT_TOKENS, new_tokens),
            prefix_token_bytes=plan.prefix_token_bytes,
        ),
        halved=model.limit.halved,
    )
