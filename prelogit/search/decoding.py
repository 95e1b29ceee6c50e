"""What the driver needs of an engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from prelogit.core.errors import MemoryShortError
from prelogit.search.plan import Choice, Plan, Question, Rollouts, SearchId


class Engine(Protocol):
    """Decodes plans; the prompts have been admitted before."""

    @property
    def busy(self) -> bool:
        """Whether a step would do anything."""

    @property
    def rows(self) -> int:
        """Samples that decode or wait to."""

    def add(self, search: SearchId, plan: Plan) -> None:
        """Queue a plan."""

    def step(self) -> Sequence[tuple[SearchId, Rollouts | MemoryShortError | Question]]:
        """One token for every row that waits for no answer; returns the plans that are complete
        now, or hopeless, and what is asked."""

    def answer(self, question: Question, choice: Choice) -> None:
        """Let the rows of a question go on; an answer that nobody waits for does nothing."""

    def drop(self, search: SearchId) -> None:
        """Forget whatever is queued or decoded for a search."""
