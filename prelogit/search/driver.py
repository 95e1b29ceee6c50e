"""Run searches to their end: step the engine, score in the background, never in lock-step."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Mapping
from functools import partial
from typing import Literal

from prelogit.core.errors import LeaseLostError, MemoryShortError, RewardError
from prelogit.core.records import Candidate, Iteration, Kl
from prelogit.search.course import Course, Ending, Outcome, Scored, Search
from prelogit.search.decoding import Engine
from prelogit.search.guiding import Weighed, ended
from prelogit.search.plan import Question, Rollouts, SearchId
from prelogit.search.pool import Pool
from prelogit.search.together import Together
from prelogit.telemetry.place import at, enter

Verdict = Literal["continue", "cancel", "abandon"]


# Prompts under way hold memory even while their rewards are waited for.
_MOST = 4

Judge = Callable[[SearchId, Rollouts], Awaitable[Scored]]
Weigh = Callable[[SearchId, Question], Awaitable[Weighed]]
OnIteration = Callable[[SearchId, Iteration, tuple[Candidate, ...]], Verdict]
OnEnd = Callable[[SearchId, Outcome], None]
OnQuestion = Callable[[SearchId], Verdict]


async def run(
    searches: Mapping[SearchId, Search],
    engine: Engine,
    judge: Judge,
    weigh: Weigh | None = None,
    *,
    together: Together,
    on_iteration: OnIteration,
    on_end: OnEnd,
    on_question: OnQuestion = lambda search: "continue",
    pool: Pool | None = None,
) -> None:
    """Search until every search has ended; prompts begin in the order of ``searches``.

    A prompt's arms end together when its method fails, is cancelled or abandoned. A
    ``RewardError``, and a plan that memory does not suffice for, fail their own search; any
    other exception ends the run.

    Args: weigh: for methods that pick every token. on_question: asked before each of their tokens;
          "cancel" ends the responses where they stand. pool: of the methods' searches, where they
          share a budget; a prompt then waits between its rounds for the others.
    """
    driver = _Driver(searches, engine, together, on_iteration, on_end, on_question, pool)
    pending: set[asyncio.Task[Callable[[], None]]] = set()

    async def judged(search: SearchId, rollouts: Rollouts) -> Callable[[], None]:
        driver.say_where(search)
        try:
            return partial(driver.told, search, rollouts, await judge(search, rollouts))
        except RewardError as error:
            return partial(driver.failed, search, error)

    async def weighed(search: SearchId, question: Question) -> Callable[[], None]:
        assert weigh is not None  # noqa: S101 - who runs such a method has one
        driver.say_where(search)
        try:
            return partial(driver.weighed, search, question, await weigh(search, question))
        except RewardError as error:
            return partial(driver.failed, search, error)

    try:
        driver.begin()
        while engine.busy or pending:
            if engine.busy:
                for search, came in await asyncio.to_thread(engine.step):
                    if isinstance(came, MemoryShortError):
                        driver.failed(search, came)
                    elif isinstance(came, Question):
                        if driver.asked(search, came):
                            pending.add(asyncio.create_task(weighed(search, came)))
                    elif search in driver.measuring:
                        driver.measured(search, came)
                    else:
                        pending.add(asyncio.create_task(judged(search, came)))
                done = {task for task in pending if task.done()}
            else:
                done, _ = await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()()
                pending.discard(task)
            driver.begin()
    finally:
        for task in pending:
            task.cancel()
        # Those that failed beside the one that is raised: seen here, or asyncio complains of them.
        await asyncio.gather(*pending, return_exceptions=True)


class _Driver:
    """The searches that have not ended, and the steps between two calls of the engine."""

    def __init__(
        self,
        searches: Mapping[SearchId, Search],
        engine: Engine,
        together: Together,
        on_iteration: OnIteration,
        on_end: OnEnd,
        on_question: OnQuestion,
        pool: Pool | None,
    ) -> None:
        self._on_question, self._pool = on_question, pool
        self._arms: dict[str, list[SearchId]] = {}  # that have not ended, by prompt
        for search in searches:
            self._arms.setdefault(search.prompt, []).append(search)
        self._waiting = deque(self._arms)
        self._together = together
        self.courses = {search: Course(what) for search, what in searches.items()}
        self.measuring: set[SearchId] = set()
        self._engine, self._on_iteration, self._on_end = engine, on_iteration, on_end
        for search, course in self.courses.items():
            if pool is not None and search.arm == 0:
                pool.enter(search.prompt, course.rows)

    def say_where(self, search: SearchId) -> None:
        """The task that calls this works on the search's present round."""
        course = self.courses.get(search)
        k = None if course is None else len(course.rows) + 1
        enter(prompt=search.prompt, arm=search.arm, iteration=k)

    def begin(self) -> None:
        """Start the next prompts, with all their arms, while there is room beside the others."""
        while self._waiting and self._room():
            for search in list(self._arms[self._waiting.popleft()]):
                self.proceed(search)
        if self._pool is not None and not self._waiting:
            self._take_turns(self._pool)

    def _take_turns(self, pool: Pool) -> None:
        """Begin the next wave once nobody of the pool runs."""
        if any(one.arm == 0 and one.prompt not in pool.waiting for one in self.courses):
            return
        for prompt in list(pool.waiting) if pool.halt else ():
            self._stop(SearchId(prompt), pool.halt or "abandoned")
        for prompt in pool.turn():
            self.proceed(SearchId(prompt))

    def _room(self) -> bool:
        begun = len(self._arms) - len(self._waiting)
        begun -= len(self._pool.waiting) if self._pool is not None else 0
        wanted = self._together
        if begun < wanted.prompts:
            return True
        return begun < _MOST * wanted.prompts and self._engine.rows < wanted.rows

    def proceed(self, search: SearchId) -> None:
        """Ask for the next round; at the end, for the draw that measures the KL."""
        course = self.courses[search]
        pool = self._pool if search.arm == 0 else None
        plan = course.ask(spent=pool is not None and pool.spent)
        if plan is not None and pool is not None and pool.waits(search.prompt):
            return
        if plan is None and (plan := course.target()) is not None:
            self.measuring.add(search)
        if plan is None:
            self._end(search, "done")
        else:
            self._engine.add(search, plan)

    def told(self, search: SearchId, rollouts: Rollouts, scored: Scored) -> None:
        """Tell the method, report the row, and go on unless the report says otherwise."""
        if (course := self.courses.get(search)) is None:  # ended with its prompt meanwhile
            return
        row, kept = course.tell(rollouts, scored)
        try:
            verdict = self._on_iteration(search, row, kept)
        except LeaseLostError:
            verdict = "abandon"
        match verdict:
            case "continue":
                self.proceed(search)
            case "cancel":
                self._stop(SearchId(search.prompt), "cancelled")
            case "abandon":
                self._stop(SearchId(search.prompt), "abandoned")

    def failed(self, search: SearchId, error: RewardError | MemoryShortError) -> None:
        """The reward does not answer, or the device's memory does not suffice for the plan."""
        if search in self.courses:
            self._stop(search, "failed", str(error))

    def asked(self, search: SearchId, question: Question) -> bool:
        """Whether a question's candidates must be scored; else it is settled here."""
        if (course := self.courses.get(search)) is None:
            return False
        try:
            verdict = self._on_question(search)
        except LeaseLostError:
            verdict = "abandon"
        if verdict == "abandon":
            self._stop(SearchId(search.prompt), "abandoned")
            return False
        choice = course.stop(question)
        if choice is None and verdict == "cancel" and question.step > 1:
            choice = ended(question)
        if choice is not None:
            self._engine.answer(question, choice)
        return choice is None

    def weighed(self, search: SearchId, question: Question, weighed: Weighed) -> None:
        """Have the method pick, and its rows go on."""
        if (course := self.courses.get(search)) is not None:
            self._engine.answer(question, course.choose(question, weighed))

    def measured(self, search: SearchId, rollouts: Rollouts) -> None:
        """The KL of one draw from the aligned model is there: the search is complete."""
        if (course := self.courses.get(search)) is None:
            return
        sampled, exact = rollouts.log_ratio, rollouts.kl
        kl = Kl(
            gaussian=course.rows[-1].kl_gaussian if course.rows else None,
            token_sampled=None if sampled is None else float(sampled[0]),
            token_exact=None if exact is None else float(exact[0]),
        )
        self._end(search, "done", kl=kl)

    def _stop(self, search: SearchId, ending: Ending, error: str | None = None) -> None:
        """End a search; with arm 0 go the prompt's baselines, which nobody will compare with."""
        if self._pool is not None and ending in ("cancelled", "abandoned"):
            self._pool.halt = ending
        for one in list(self._arms[search.prompt]) if search.arm == 0 else [search]:
            self._engine.drop(one)
            self._end(one, ending, error=error)

    def _end(
        self, search: SearchId, ending: Ending, *, kl: Kl | None = None, error: str | None = None
    ) -> None:
        course = self.courses.pop(search)
        self.measuring.discard(search)
        if self._pool is not None and search.arm == 0:
            self._pool.leave(search.prompt)
        self._arms[search.prompt].remove(search)
        if not self._arms[search.prompt]:
            del self._arms[search.prompt]
        with at(prompt=search.prompt):
            self._on_end(search, course.outcome(ending, kl=kl, error=error))
