"""What a client may post as a job, and what it gets back."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import BaseModel, Field, ValidationInfo, field_validator

from prelogit.wire.engine import EngineMemory as EngineMemory
from prelogit.wire.engine import JobEngine as JobEngine
from prelogit.wire.keys import DEFAULT_PROJECT
from prelogit.wire.limits import Budget as Budget
from prelogit.wire.limits import Stop as Stop
from prelogit.wire.limits import even_rounds, refusal, round_samples, stretched
from prelogit.wire.params import AISP, BaselineField, MethodField, MethodParams
from prelogit.wire.priority import Priority as Priority
from prelogit.wire.probe import Probe
from prelogit.wire.problem import Problem
from prelogit.wire.prompt import JobPrompt as JobPrompt
from prelogit.wire.prompt import Message as Message
from prelogit.wire.prompt import PromptField as PromptField
from prelogit.wire.prompt import PromptItem as PromptItem
from prelogit.wire.prompt import named as named
from prelogit.wire.reward import Identifier as Identifier
from prelogit.wire.reward import RewardRef as RewardRef
from prelogit.wire.strict import Strict as Strict
from prelogit.wire.summary import RewardSummary
from prelogit.wire.webhook import Webhook as Webhook

JobStatus = Literal[
    "queued", "running", "cancelling", "succeeded", "partial", "failed", "cancelled"
]
ENDED: frozenset[str] = frozenset({"succeeded", "partial", "failed", "cancelled"})
_Method = TypeVar("_Method", bound=MethodParams)


class JobPrompts(Strict):
    """The prompts of a job."""

    prompts: Annotated[tuple[PromptField, ...], Field(min_length=1, strict=False)]

    @field_validator("prompts")
    @classmethod
    def _ids_are_unique(cls, prompts: tuple[str | PromptItem, ...]) -> tuple[str | PromptItem, ...]:
        seen: set[str] = set()
        for prompt in prompts:
            if isinstance(prompt, PromptItem) and prompt.id is not None:
                if prompt.id in seen:
                    raise ValueError(
                        f"the id {prompt.id!r} stands more than once; ids must be unique in a job"
                    )
                seen.add(prompt.id)
        return prompts


class JobSettings(Strict):
    """A job without its prompts: everything has a default."""

    model: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    method: MethodField = AISP()
    baselines: Annotated[tuple[BaselineField, ...], Field(max_length=8, strict=False)] = ()
    reward: RewardRef = RewardRef()
    held_out: RewardRef | None = None
    max_new_tokens: Annotated[int, Field(ge=1)] = 64
    seed: Annotated[int, Field(ge=0, lt=2**63)] = 0
    keep: Literal["best", "all"] = "best"
    top_k: Annotated[int, Field(ge=1, le=1000)] = 1
    stop: Stop = Stop()
    budget: Budget | None = None
    template: Literal["chat", "none"] = "chat"
    priority: Priority = "normal"
    metadata: dict[str, str] = Field(default={}, max_length=32)
    webhook: Webhook | None = None

    @field_validator("held_out")
    @classmethod
    def _is_another(cls, held_out: RewardRef | None, info: ValidationInfo) -> RewardRef | None:
        reward = info.data.get("reward")
        if held_out is not None and reward is not None and held_out.same_as(reward):
            raise ValueError(
                "is the reward that steers: it would see nothing that the search does not; name "
                "another one, or leave held_out out"
            )
        return held_out

    @field_validator("stop")
    @classmethod
    def _has_what_it_watches(cls, stop: Stop, info: ValidationInfo) -> Stop:
        if stop.held_out is not None and info.data.get("held_out", False) is None:
            raise ValueError(
                "held_out watches a second reward, and there is none: name it in the job's "
                "held_out, or leave stop.held_out out"
            )
        return stop

    @field_validator("budget")
    @classmethod
    def _can_be_spent(cls, budget: Budget | None, info: ValidationInfo) -> Budget | None:
        prompts, method = info.data.get("prompts"), info.data.get("method")
        if budget is not None and prompts is not None and method is not None:
            told = refusal(budget, method, len(prompts))
            if told is not None:
                raise ValueError(told)
        return budget

    def rounds_of(self, prompts: int) -> int:
        """Rounds to be expected of one of so many prompts, all arms together."""
        return self._method_rounds(prompts) + sum(arm.rounds for arm in self.baselines)

    def _method_rounds(self, prompts: int) -> int:
        """Rounds of one prompt by the method: all, or the even share of the job's budget."""
        if self.budget is None:
            return self.method.rounds
        return min(self.method.rounds, even_rounds(self.budget, self.method, prompts))

    def completed(self, *, model: str, prompts: int) -> Self:
        """As it is stored with so many prompts: model and sample counts filled in.

        A baseline without n gets as many samples as the method scores, where it has an n; with a
        budget, its even share.
        """
        method = _with_samples(self.method, self.method.samples)
        if self.budget is not None:
            method = stretched(method, even_rounds(self.budget, method, prompts))
        whole = self.model_copy(update={"method": method})
        samples = whole._method_rounds(prompts) * round_samples(method)
        baselines = tuple(_with_samples(one, samples) for one in self.baselines)
        return whole.model_copy(update={"model": self.model or model, "baselines": baselines})


class JobRequest(JobSettings, JobPrompts):
    """The body of ``POST /v1/jobs``; only ``prompts`` is required."""

    @property
    def items(self) -> tuple[PromptItem, ...]:
        """The prompts of a request that has been filled in."""
        return tuple(prompt for prompt in self.prompts if isinstance(prompt, PromptItem))

    def filled(self, *, model: str) -> JobRequest:
        """With the ids of all prompts, and with what ``completed`` fills in."""
        taken = {p.id for p in self.prompts if isinstance(p, PromptItem) and p.id is not None}
        items = tuple(named(prompt, place, taken) for place, prompt in enumerate(self.prompts))
        whole = self.completed(model=model, prompts=len(items))
        return whole.model_copy(update={"prompts": items})


def _with_samples(method: _Method, n: int) -> _Method:
    """With n samples, where the method can have several and does not say how many."""
    if "n" in type(method).model_fields and getattr(method, "n", None) is None:
        return method.model_copy(update={"n": n})
    return method


class Counts(BaseModel):
    """Prompts of a job by state."""

    total: int
    queued: int = 0
    running: int = 0
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0


class Progress(BaseModel):
    """How far a job is; iterations count those of baselines too. eta_seconds: None while unknown."""

    iterations_done: int
    iterations_total: int
    fraction: float
    eta_seconds: float | None = None


class Usage(BaseModel):
    """What a job has cost so far, generator and reward, baselines included."""

    prompt_tokens: int = 0
    generated_tokens: int = 0
    candidates: int = 0
    reward_calls: int = 0
    reward_tokens: int = 0
    decode_seconds: float = 0.0
    reward_seconds: float = 0.0
    wait_seconds: float = 0.0


class JobLinks(BaseModel):
    self: str
    prompts: str
    results: str
    trace: str
    events: str


class Job(BaseModel):
    """A job as ``GET /v1/jobs/{id}`` shows it; ``engine`` and the probes: None before a worker has it.

    ``request`` shows the first prompts of a large job, and then says in ``prompts_shown`` how many;
    ``counts.total`` says how many there are.
    """

    id: str
    object: Literal["job"] = "job"
    project: str = DEFAULT_PROJECT
    status: JobStatus
    created_at: datetime
    started_at: datetime | None = None
    ended_at: datetime | None = None
    expires_at: datetime | None = None
    request: dict[str, Any]
    counts: Counts
    progress: Progress
    usage: Usage
    reward: RewardSummary
    engine: JobEngine | None = None
    probe: Probe | None = None
    held_out_probe: Probe | None = None
    error: Problem | None = None
    links: JobLinks
