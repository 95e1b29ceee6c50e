"""What decodes a job, as the job tells it."""

from __future__ import annotations

from pydantic import BaseModel


class EngineMemory(BaseModel):
    """The memory model of a worker, in bytes.

    budget_bytes: what may be used, the weights included; None where the device does not tell.
    row_bytes: of one sample at this job's max_new_tokens, its keys and values and what it works
    with. prefix_token_bytes: of one prompt token, kept once for all samples.
    """

    budget_bytes: int | None
    weights_bytes: int
    row_bytes: int
    prefix_token_bytes: int


class JobEngine(BaseModel):
    """What decodes a job.

    rows: most samples decoded at the same time. halved: how many halvings that is below what
    the memory model allowed, because memory ran out all the same.
    """

    device: str
    dtype: str
    attention: str
    rows: int
    memory: EngineMemory
    halved: int = 0
