"""What ``evaluate`` and ``tune`` search with: a model of this process, or a service."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal, NamedTuple

from prelogit.cli.reporting import notes
from prelogit.cli.tables import duration

if TYPE_CHECKING:
    from prelogit.evaluation.cost import Cost, Rate
    from prelogit.evaluation.running import Solver
    from prelogit.evaluation.store import Store, Task
    from prelogit.rewards.protocol import Score

Template = Literal["chat", "none"]


class Setting(NamedTuple):
    """How prompts are decoded, and where."""

    model: str
    max_new_tokens: int
    template: Template
    url: str | None
    device: str
    dtype: str

    @property
    def held(self) -> dict[str, object]:
        """What must stay the same in one folder."""
        return {
            "model": self.model, "max_new_tokens": self.max_new_tokens,
            "template": self.template, "url": self.url,
        }  # fmt: skip


class Solving(NamedTuple):
    """A solver; the rewards that were loaded for it; what a trial took, if there was one."""

    solver: Solver
    scores: dict[str, Score]
    trial: Rate | None


@contextmanager
def solving(
    setting: Setting, tasks: Sequence[Task], store: Store, *, quiet: bool
) -> Iterator[Solving]:
    """Load the model and rewards once, or connect; a service is asked whether it would refuse.

    Raises: InputError: names the field that the service refuses, or the reward that is not there.
    """
    rewards = list(dict.fromkeys(task.reward for task in tasks))
    if setting.url is not None:
        from prelogit.client import Client
        from prelogit.evaluation.through_service import check_tasks, through_service

        with Client(setting.url) as client:
            how = {
                "model": setting.model, "max_new_tokens": setting.max_new_tokens,
                "template": setting.template,
            }  # fmt: skip
            check_tasks(client, tasks, **how)
            yield Solving(through_service(client, store, **how), {}, None)
        return
    import prelogit
    from prelogit.evaluation.cost import measured, trial
    from prelogit.evaluation.in_process import in_process

    if not quiet:
        told = f"loading {setting.model} and {', '.join(rewards)} …"
        notes.print(told, highlight=False, markup=False, soft_wrap=True)
    loaded = prelogit.load_model(setting.model, device=setting.device, dtype=setting.dtype)
    scores = {name: prelogit.load_reward(name) for name in rewards}
    shape = {"max_new_tokens": setting.max_new_tokens, "template": setting.template}
    solver = in_process(loaded, scores, setting.max_new_tokens, setting.template)
    tried = None
    if measured(store.runs) is None:
        tried = trial(loaded, scores[rewards[0]], tasks[0], **shape)  # type: ignore[arg-type]
    yield Solving(solver, scores, tried)


def cost_line(cost: Cost) -> str:
    """What is still to be run, in a line."""
    most = "at most" if cost.is_bound else "about"
    known = cost.seconds is not None
    time_left = (
        f"{most} {duration(cost.seconds or 0)}" if known else "time unknown before a first job"
    )
    return (
        f"to run: {cost.searches:,} searches, {cost.samples:,} samples, "
        f"{most} {cost.tokens:,} tokens, {time_left}"
    )
