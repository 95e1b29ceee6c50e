"""The driver with a real method and an engine that makes its rollouts up."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from prelogit.core.errors import LeaseLostError, MemoryShortError, RewardUnavailableError
from prelogit.core.records import Candidate, Iteration
from prelogit.methods import METHODS
from prelogit.search.course import Outcome, Scored, Search
from prelogit.search.driver import Verdict, run
from prelogit.search.plan import Choice, Plan, Question, Rollouts, SearchId, Shape
from prelogit.search.together import Together
from prelogit.wire.params import AISP, BestOfN


class Toy:
    """Completes one waiting plan a step."""

    def __init__(self) -> None:
        self.plans: list[tuple[SearchId, Plan]] = []
        self.added: list[SearchId] = []
        self.too_large: tuple[SearchId, ...] = ()

    @property
    def busy(self) -> bool:
        return bool(self.plans)

    @property
    def rows(self) -> int:
        return sum(plan.samples for _, plan in self.plans)

    def add(self, search: SearchId, plan: Plan) -> None:
        self.plans.append((search, plan))
        self.added.append(search)

    def drop(self, search: SearchId) -> None:
        self.plans = [pair for pair in self.plans if pair[0] != search]

    def answer(self, question: Question, choice: Choice) -> None:
        raise AssertionError("nothing is asked")

    def step(self) -> list[tuple[SearchId, Rollouts | MemoryShortError]]:
        search, plan = self.plans.pop(0)
        if search in self.too_large:
            return [(search, MemoryShortError("too large: shorten it"))]
        n = plan.samples
        tokens = torch.arange(n)[:, None].repeat(1, plan.max_new_tokens)
        one = torch.zeros(n, dtype=torch.float64)
        full = torch.full((n,), plan.max_new_tokens, dtype=torch.int32)
        return [
            (search, Rollouts(tokens, full, torch.zeros(n, dtype=torch.bool), one, 0, 0, one, one))
        ]


async def judge(search: SearchId, rollouts: Rollouts) -> Scored:
    n = len(rollouts.length)
    return Scored([f"{search.prompt}{i}" for i in range(n)], torch.arange(n).double(), 0.1)


def searches(*prompts: str) -> dict[SearchId, Search]:
    made = {}
    for prompt in prompts:
        shape = Shape(2, 4, 3, 0, prompt)
        made[SearchId(prompt, 0)] = Search(
            METHODS["aisp"], AISP(proposal="mean", n=3, iterations=2), shape
        )
        made[SearchId(prompt, 1)] = Search(METHODS["bon"], BestOfN(n=4), shape)
    return made


async def play(
    what: dict[SearchId, Search],
    *,
    verdict: Any = lambda search, row: "continue",
    by: Any = judge,
    too_large: tuple[SearchId, ...] = (),
    together: Together | None = None,
    engine: Toy | None = None,
) -> tuple[dict[SearchId, Outcome], list[tuple[SearchId, Iteration]], Toy]:
    ended: dict[SearchId, Outcome] = {}
    rows: list[tuple[SearchId, Iteration]] = []
    engine = engine or Toy()
    engine.too_large = too_large

    def on_iteration(search: SearchId, row: Iteration, kept: tuple[Candidate, ...]) -> Verdict:
        rows.append((search, row))
        answer: Verdict = verdict(search, row)
        return answer

    def on_end(search: SearchId, outcome: Outcome) -> None:
        assert search not in ended
        ended[search] = outcome

    await run(
        what,
        engine,
        by,
        together=together or Together(8, 8),
        on_iteration=on_iteration,
        on_end=on_end,
    )
    assert set(ended) == set(what)
    assert not engine.busy
    return ended, rows, engine


async def test_every_search_runs_all_its_rounds_and_ends_once() -> None:
    ended, rows, _ = await play(searches("a", "b"))
    assert {outcome.ending for outcome in ended.values()} == {"done"}
    assert [row.k for search, row in rows if search == SearchId("a")] == [1, 2, 3]
    assert ended[SearchId("a")].kl.token_exact == 0
    assert ended[SearchId("a", 1)].kl.token_exact is None
    assert ended[SearchId("b", 1)].kept[0].reward == 3
    assert ended[SearchId("b", 1)].kept[0].text == "b3"


@pytest.mark.parametrize(("rows", "least", "most"), [(0, 2, 2), (15, 3, 8), (40, 6, 8)])
async def test_so_many_prompts_at_a_time_and_more_while_rows_are_free(
    rows: int, least: int, most: int
) -> None:
    """Each prompt asks for seven rows: three of its method and four of its baseline."""
    begun: set[str] = set()
    ended: set[str] = set()
    seen: list[int] = []

    def verdict(search: SearchId, row: Iteration) -> Verdict:
        begun.add(search.prompt)
        if search.arm == 0 and row.final:
            ended.add(search.prompt)
        return "continue"

    class Counting(Toy):
        def step(self) -> list[tuple[SearchId, Rollouts | MemoryShortError]]:
            seen.append(len({search.prompt for search in self.added} - ended))
            return super().step()

    names = [f"p{i}" for i in range(12)]
    outcomes, _, engine = await play(
        searches(*names), verdict=verdict, together=Together(2, rows), engine=Counting()
    )
    assert {outcome.ending for outcome in outcomes.values()} == {"done"}
    assert begun == set(names)
    assert list(dict.fromkeys(search.prompt for search in engine.added)) == names
    assert least <= max(seen) <= most


async def test_cancelling_ends_the_prompt_with_its_best_and_leaves_the_others() -> None:
    ended, rows, _ = await play(
        searches("a", "b"),
        verdict=lambda search, row: "cancel" if search == SearchId("a") else "continue",
    )
    assert ended[SearchId("a")].ending == "cancelled"
    assert ended[SearchId("a")].kept[0].reward == 2
    assert ended[SearchId("b")].ending == ended[SearchId("b", 1)].ending == "done"
    assert len([row for search, row in rows if search == SearchId("a")]) == 1


async def test_a_lost_lease_abandons_the_prompt() -> None:
    def lose(search: SearchId, row: Iteration) -> Verdict:
        if search.prompt == "a":
            raise LeaseLostError("another worker has it")
        return "continue"

    ended, _, _ = await play(searches("a", "b"), verdict=lose)
    assert ended[SearchId("a")].ending == ended[SearchId("a", 1)].ending == "abandoned"
    assert ended[SearchId("b")].ending == "done"


@pytest.mark.parametrize("arm", [0, 1])
async def test_a_reward_that_fails_ends_its_own_search(arm: int) -> None:
    async def failing(search: SearchId, rollouts: Rollouts) -> Scored:
        if search == SearchId("a", arm):
            raise RewardUnavailableError("the reward service is down")
        return await judge(search, rollouts)

    ended, _, _ = await play(searches("a", "b"), by=failing)
    assert ended[SearchId("a", arm)].ending == "failed"
    assert ended[SearchId("a", arm)].error == "the reward service is down"
    # A baseline without its method has no use; a method without a baseline has.
    assert ended[SearchId("a", 1 - arm)].ending in (("failed", "done") if arm == 0 else ("done",))
    assert ended[SearchId("b")].ending == "done"


@pytest.mark.parametrize("arm", [0, 1])
async def test_a_plan_that_memory_does_not_suffice_for_ends_its_own_search(arm: int) -> None:
    ended, _, _ = await play(searches("a", "b"), too_large=(SearchId("a", arm),))
    assert ended[SearchId("a", arm)].ending == "failed"
    assert ended[SearchId("a", arm)].error == "too large: shorten it"
    # A prompt without its method has no baselines to compare with.
    assert ended[SearchId("a", 1 - arm)].ending == ("failed" if arm == 0 else "done")
    assert [ended[SearchId("b", one)].ending for one in (0, 1)] == ["done", "done"]


async def test_an_unforeseen_error_ends_the_run() -> None:
    async def broken(search: SearchId, rollouts: Rollouts) -> Scored:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await play(searches("a"), by=broken)


async def test_stored_rows_are_not_computed_again() -> None:
    whole, rows, _ = await play(searches("a"))
    for count in range(4):
        what = searches("a")
        stored = tuple(row for search, row in rows if search.arm == 0)[:count]
        what[SearchId("a")] = what[SearchId("a")]._replace(
            rows=stored, kept=whole[SearchId("a")].kept[:1] if count else ()
        )
        ended, again, _ = await play(what)
        assert [row.k for search, row in again if search.arm == 0] == [1, 2, 3][count:]
        assert ended[SearchId("a")].kept == whole[SearchId("a")].kept
        assert [row.weights for row in ended[SearchId("a")].rows] == [
            row.weights for row in whole[SearchId("a")].rows
        ]
