"""The driver with a method that picks every token: nothing waits in lock-step, all is counted."""

from __future__ import annotations

import asyncio
from typing import Any, NamedTuple

import pytest
import torch

from prelogit.core.errors import LeaseLostError, RewardAnswerError
from prelogit.core.records import Candidate, Iteration
from prelogit.methods import METHODS
from prelogit.search.course import Outcome, Scored, Search
from prelogit.search.driver import Verdict, run
from prelogit.search.guiding import Weighed
from prelogit.search.plan import (
    Choice,
    Info,
    Method,
    Plan,
    Question,
    Rollouts,
    SearchId,
    Shape,
    TopK,
)
from prelogit.search.together import Together
from prelogit.wire.jobs import Stop
from prelogit.wire.params import BestOfN

TOKENS, K = 5, 3


class Params(NamedTuple):
    n: int = 2


def choose(state: int, question: Question, rewards: torch.Tensor, params: Params) -> Choice:
    place = rewards.argmax(dim=-1, keepdim=True)
    one = torch.ones(len(place), dtype=torch.float64)
    return Choice(question.token_ids.gather(1, place)[:, 0], one, 2 * one)


BY_REWARD = Method(
    params=Params,
    init=lambda params, shape: 0,
    ask=lambda k, params: None if k else Plan(params.n, None, TopK(K), TOKENS),
    tell=lambda k, rollouts, rewards, params: (k + 1, Info((1 / params.n,) * params.n, final=True)),
    restore=lambda rows, params, shape: len(rows),
    target=lambda k, params: None,
    warn=lambda rows, params, shape: (),
    choose=choose,
)


class Asker:
    """An engine whose rows ask for each token among 10 t, 10 t + 1, .., and take a second a step."""

    def __init__(self) -> None:
        self.plans: dict[SearchId, Plan] = {}
        self.tokens: dict[SearchId, torch.Tensor] = {}
        self.asked: dict[int, SearchId] = {}  # open questions
        self.log_ratio: dict[SearchId, torch.Tensor] = {}
        self.numbers = 0
        self.steps: list[list[SearchId]] = []  # whose rows each step moved

    def _ready(self) -> list[SearchId]:
        return [search for search in self.plans if search not in self.asked.values()]

    @property
    def busy(self) -> bool:
        return bool(self._ready())

    @property
    def rows(self) -> int:
        return sum(plan.samples for plan in self.plans.values())

    def add(self, search: SearchId, plan: Plan) -> None:
        self.plans[search] = plan
        self.tokens[search] = torch.empty(plan.samples, 0, dtype=torch.long)
        self.log_ratio[search] = torch.zeros(plan.samples, dtype=torch.float64)

    def drop(self, search: SearchId) -> None:
        self.plans.pop(search, None)
        self.asked = {number: one for number, one in self.asked.items() if one != search}

    def answer(self, question: Question, choice: Choice) -> None:
        search = self.asked.pop(question.number, None)
        if search is not None:
            self.tokens[search] = torch.cat(
                [self.tokens[search], choice.token_ids[:, None]], dim=-1
            )
            self.log_ratio[search] += choice.log_ratio

    def step(self) -> list[Any]:
        came: list[Any] = []
        self.steps.append(self._ready())
        for search in self._ready():
            plan, before = self.plans[search], self.tokens[search]
            n, t = before.shape
            over = t == plan.max_new_tokens or bool((before < 0).any())
            if isinstance(plan.pick, TopK) and not over:
                self.asked[self.numbers] = search
                ids = 10 * t + torch.arange(K).expand(n, K)
                log_p = torch.full((n, K), -1.0, dtype=torch.float64)
                question = Question(
                    self.numbers, torch.arange(n), t + 1, before, ids, log_p, n * t, float(t)
                )
                self.numbers += 1
                came.append((search, question))
                continue
            del self.plans[search]
            length = (before >= 0).sum(dim=-1).int()
            zero, ratio = torch.zeros(n, dtype=torch.float64), self.log_ratio[search]
            came.append(
                (search, Rollouts(before, length, zero.bool(), zero, t, t, ratio, 2 * ratio))
            )
        return came


async def judge(search: SearchId, rollouts: Rollouts) -> Scored:
    return Scored([search.prompt] * len(rollouts.length), rollouts.length.double(), 0.5, 1, 7)


async def weigh(search: SearchId, question: Question) -> Weighed:
    """The second candidate is liked best."""
    liked = torch.tensor([0.0, 1.0, 0.5], dtype=torch.float64).expand(len(question.sample), K)
    return Weighed(liked, texts=4, seconds=0.25, calls=2, tokens=30)


async def play(
    *prompts: str,
    by: Any = weigh,
    stop: Stop = Stop(),  # noqa: B008 - frozen
    on_question: Any = lambda search: "continue",
    on_row: Any = lambda search: "continue",
    baseline: bool = False,
) -> tuple[dict[SearchId, Outcome], Asker]:
    ended: dict[SearchId, Outcome] = {}
    searches = {}
    for prompt in prompts:
        shape = Shape(TOKENS, 4, TOKENS, 0, prompt)
        searches[SearchId(prompt)] = Search(BY_REWARD, Params(), shape, stop=stop)
        if baseline:
            searches[SearchId(prompt, 1)] = Search(METHODS["bon"], BestOfN(n=3), shape)
    engine = Asker()

    def on_iteration(search: SearchId, row: Iteration, kept: tuple[Candidate, ...]) -> Verdict:
        answer: Verdict = on_row(search)
        return answer

    def on_end(search: SearchId, outcome: Outcome) -> None:
        assert search not in ended
        ended[search] = outcome

    await run(
        searches,
        engine,
        judge,
        by,
        together=Together(8, 8),
        on_iteration=on_iteration,
        on_end=on_end,
        on_question=on_question,
    )
    assert set(ended) == set(searches)
    assert not engine.plans
    return ended, engine


async def test_each_token_is_the_methods_choice_and_every_cost_is_counted() -> None:
    ended, _ = await play("a", baseline=True)
    outcome = ended[SearchId("a")]
    assert outcome.ending == "done"
    assert outcome.kept[0].token_ids == (1, 11, 21, 31, 41)
    (row,) = outcome.rows
    assert row.guided is not None
    assert row.guided.scored_partials == 4 * TOKENS
    assert row.reward_calls == 2 * TOKENS + 1
    assert row.reward_tokens == 30 * TOKENS + 7
    assert row.seconds.reward == 0.25 * TOKENS + 0.5
    assert len(row.rewards) == 2
    assert (outcome.kl.token_sampled, outcome.kl.token_exact) == (TOKENS, 2 * TOKENS)
    assert outcome.stopped is None
    assert ended[SearchId("a", 1)].rows[0].guided is None


async def test_nobody_waits_for_another_prompts_reward() -> None:
    held = asyncio.Event()

    async def slow(search: SearchId, question: Question) -> Weighed:
        if search.prompt == "a":
            await held.wait()
        elif question.step == TOKENS:
            held.set()  # the other's last token: only now the first one is answered
        return await weigh(search, question)

    ended, _ = await play("a", "b", by=slow)
    assert [outcome.ending for outcome in ended.values()] == ["done", "done"]
    assert next(iter(ended)).prompt == "b"


@pytest.mark.parametrize(
    ("stop", "told", "length"),
    [
        (Stop(seconds=2.4), "seconds", 2),  # a second and a quarter a token, the reward included
        (Stop(seconds=0.001), "seconds", 1),
        (Stop(tokens=6), "tokens", 3),
        (Stop(tokens=1), "tokens", 1),
        (Stop(seconds=99, tokens=99, samples=1, reward=-1.0), None, TOKENS),
    ],
)
async def test_budgets_hold_within_the_round(stop: Stop, told: Any, length: int) -> None:
    ended, _ = await play("a", stop=stop)
    outcome = ended[SearchId("a")]
    assert outcome.ending == "done"
    assert outcome.stopped == told
    assert len(outcome.kept[0].token_ids) == length
    assert outcome.kept[0].finish_reason == "length"
    (row,) = outcome.rows
    assert row.guided is not None
    assert row.guided.scored_partials == 4 * length
    assert row.guided.cut == told


async def test_a_search_whose_row_is_stored_says_the_same_of_itself() -> None:
    ended, _ = await play("a", stop=Stop(tokens=6))
    whole = ended[SearchId("a")]
    shape = Shape(TOKENS, 4, TOKENS, 0, "a")
    again: list[Outcome] = []
    await run(
        {SearchId("a"): Search(BY_REWARD, Params(), shape, rows=whole.rows, kept=whole.kept)},
        Asker(),
        judge,
        weigh,
        together=Together(8, 8),
        on_iteration=lambda *_: "continue",
        on_end=lambda search, outcome: again.append(outcome),
    )
    assert again == [whole]


async def test_cancelling_within_the_round_keeps_what_there_is() -> None:
    asked: list[str] = []

    def cancel(search: SearchId) -> Verdict:
        asked.append(search.prompt)
        return "cancel" if len(asked) > 2 else "continue"

    ended, _ = await play("a", on_question=cancel, on_row=lambda search: "cancel")
    outcome = ended[SearchId("a")]
    assert outcome.ending == "cancelled"
    assert outcome.kept[0].token_ids == (1, 11)
    assert outcome.rows[0].guided is not None
    assert outcome.rows[0].guided.cut is None


@pytest.mark.parametrize("how", ["abandon", "lost"])
async def test_a_lost_lease_abandons_the_prompt_within_the_round(how: str) -> None:
    asked: list[str] = []

    def lose(search: SearchId) -> Verdict:
        asked.append(search.prompt)
        if asked.count("a") == 3 and search.prompt == "a":
            if how == "lost":
                raise LeaseLostError("another worker has it")
            return "abandon"
        return "continue"

    ended, _ = await play("a", "b", on_question=lose, baseline=True)
    assert ended[SearchId("a")].ending == "abandoned"
    assert ended[SearchId("b")].ending == "done"
    assert asked.count("a") == 3


async def test_a_reward_that_answers_nonsense_fails_its_prompt_with_the_reason() -> None:
    async def failing(search: SearchId, question: Question) -> Weighed:
        if search.prompt == "a" and question.step == 3:
            raise RewardAnswerError("the reward answered NaN")
        return await weigh(search, question)

    ended, engine = await play("a", "b", by=failing)
    assert ended[SearchId("a")].ending == "failed"
    assert ended[SearchId("a")].error == "the reward answered NaN"
    assert ended[SearchId("b")].ending == "done"
    assert engine.asked == {}


async def test_an_answer_that_comes_after_the_end_is_let_go() -> None:
    late = asyncio.Event()

    async def slow(search: SearchId, question: Question) -> Weighed:
        if search.arm == 0 and question.step == 2:
            await late.wait()
        return await weigh(search, question)

    def lose(search: SearchId) -> Verdict:
        late.set()
        return "abandon"

    # The baseline's row comes while the question is open, and ends the prompt.
    ended, _ = await play("a", by=slow, on_row=lose, baseline=True)
    assert ended[SearchId("a")].ending == "abandoned"
    assert ended[SearchId("a")].rows == ()
