"""One budget of samples for all prompts: each search is still the one that it would be alone."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from prelogit.align import AlignedResult, align
from prelogit.core.records import Candidate, Iteration, Result
from prelogit.engine.load import Model
from prelogit.search.driver import Verdict
from prelogit.search.share import share_of
from prelogit.solve import Callbacks, PromptJob, Stored, solve
from prelogit.wire.jobs import Budget, JobRequest, PromptItem, Stop
from prelogit.wire.params import AISP, BestOfN
from tests import tiny
from tests.aligned import model

__all__ = ["model"]

PROMPTS = ["Hi", "What is a whale?", "Tell me", "Why is it so?"]


def run(model: Model, samples: int | None, prompts: Any = PROMPTS, **more: Any) -> Any:
    options: dict[str, Any] = {"method": AISP(n=4, iterations=9), "max_new_tokens": 8, **more}
    options["budget"] = None if samples is None else Budget(samples=samples)
    return align(model, prompts, tiny.scoring(tiny.vowels), coherence=False, nll=False, **options)


def rewards(result: AlignedResult) -> list[Any]:
    return [row.rewards for row in result.trace.iterations]


@pytest.mark.parametrize("proposal", ["texts", "mean"])
def test_all_is_spent_and_every_round_is_that_of_the_search_alone(
    model: Model, proposal: Any
) -> None:
    method = AISP(n=4, iterations=9, proposal=proposal)
    found = run(model, 80, method=method)
    assert sum(one.samples for one in found) == 80
    assert len({one.samples for one in found}) > 1
    assert all(one.samples >= 12 for one in found)
    for mine, whole in zip(found, run(model, None, method=method), strict=True):
        assert rewards(mine) == rewards(whole)[: mine.iterations]
        assert mine.stopped == ("budget" if mine.iterations < 10 else None)
        assert mine.reward == max(map(max, rewards(mine)))
        assert mine.kl.token_exact is not None


def test_it_is_the_same_whichever_prompt_is_faster_and_whatever_the_rewards_unit(
    model: Model,
) -> None:
    one = run(model, 64)
    other = align(
        model,
        PROMPTS,
        tiny.scoring(tiny.vowels, scale=64.0),
        method=AISP(n=4, iterations=9, batch_size=1),
        budget=Budget(samples=64),
        max_new_tokens=8,
    )
    assert [a.samples for a in one] == [b.samples for b in other]
    assert [a.response for a in one] == [b.response for b in other]


def test_more_than_all_rounds_need_is_not_spent(model: Model) -> None:
    found = run(model, 10_000)
    assert [one.samples for one in found] == [40] * 4
    assert [one.stopped for one in found] == [None] * 4


def test_rounds_are_told_once_and_baselines_draw_the_even_share(model: Model) -> None:
    seen: list[tuple[str, int, int]] = []
    found = run(
        model,
        64,
        baselines=[BestOfN()],
        on_iteration=lambda prompt, arm, row: seen.append((prompt, arm, row.k)),
    )
    assert len(seen) == len(set(seen)) == sum(one.iterations for one in found) + len(PROMPTS)
    assert [one.baselines[0].samples for one in found] == [16] * 4


def test_a_large_job_shares_in_equal_parts(model: Model) -> None:
    names = [f"{word} {i}" for i, word in enumerate(["Hi", "Why?", "How so?"] * 3)]
    found = run(model, 9 * 16, names, method=AISP(n=4, batch_size=1))
    by_length = sorted(found, key=lambda one: len(names[one.index]))
    parts = [by_length[at : at + 3] for at in (0, 3, 6)]
    assert [sum(one.samples for one in part) for part in parts] == [48] * 3


def test_what_a_prompt_cannot_use_goes_to_the_others(model: Model) -> None:
    failed, *others = run(model, 96, ["x" * 200, *PROMPTS[:2]])
    assert failed.status == "failed"
    # But for the first rounds, which are its own: it might be tried again.
    assert sum(one.samples for one in others) == 4 * 18 == 4 * (24 - 6)
    reached = run(model, 80, stop=Stop(reward=-1.0))
    assert [(one.samples, one.stopped) for one in reached] == [(4, "target")] * 4
    bounded = run(model, 80, stop=Stop(samples=12))
    assert [(one.samples, one.stopped) for one in bounded] == [(12, "samples")] * 4


def test_who_reaches_the_target_at_once_leaves_all_its_rounds_to_the_others(model: Model) -> None:
    def hi_is_best(conversations: Any, responses: list[str]) -> list[float]:
        high = [100.0 * (turns[-1]["content"] == "Hi") for turns in conversations]
        return [a + b for a, b in zip(high, tiny.vowels(conversations, responses), strict=True)]

    found = align(
        model,
        PROMPTS,
        tiny.scoring(hi_is_best),
        method=AISP(n=4, iterations=9),
        budget=Budget(samples=80),
        stop=Stop(reward=50.0),
        max_new_tokens=8,
    )
    assert (found[0].samples, found[0].stopped) == (4, "target")
    assert sum(one.samples for one in found) == 80


def test_rewards_that_tie_are_a_plateau(model: Model) -> None:
    found = align(
        model,
        PROMPTS,
        tiny.scoring(lambda c, r: [1.0] * len(r)),
        method=AISP(n=4),
        budget=Budget(samples=80),
        max_new_tokens=8,
    )
    assert [(one.samples, one.stopped) for one in found] == [(12, "budget")] * 4


def test_too_few_samples_and_methods_of_one_round_are_refused(model: Model) -> None:
    with pytest.raises(ValidationError, match="less than one round of 4 for each of 4"):
        run(model, 15)
    with pytest.raises(ValidationError, match="bon has one round"):
        run(model, 99, method=BestOfN())


Rows = dict[str, list[tuple[Iteration, tuple[Candidate, ...]]]]


def search(
    model: Model, stored: dict[str, Stored], *, ends_after: int | None = None
) -> tuple[dict[str, Result], Rows]:
    """Four prompts and their budget, from where they stand; given up after so many rounds."""
    request = JobRequest(
        prompts=tuple(PROMPTS),
        method=AISP(n=4, iterations=9),
        budget=Budget(samples=80),
        max_new_tokens=8,
    ).filled(model="tiny")
    jobs = [
        PromptJob(str(item.id), place, item, {0: stored.get(str(item.id), Stored((), ()))})
        for place, item in enumerate(request.prompts)
        if isinstance(item, PromptItem)
    ]
    results: dict[str, Result] = {}
    rows: Rows = {job.prompt_id: [] for job in jobs}

    def on_iteration(prompt: str, arm: int, row: Iteration, kept: Any) -> Verdict:
        rows[prompt].append((row, kept))
        told = sum(map(len, rows.values()))
        return "abandon" if ends_after is not None and told >= ends_after else "continue"

    calls = Callbacks(
        lambda *_: None, on_iteration, lambda result: results.update({result.prompt_id: result})
    )
    share = share_of(request, {job.prompt_id: job.index for job in jobs}, prompts=len(jobs))
    score = tiny.scoring(tiny.vowels)
    asyncio.run(solve(model, jobs, request, score, calls, share=share))
    return results, rows


def stored_of(rows: Rows, cuts: dict[str, int]) -> dict[str, Stored]:
    return {
        name: Stored(
            tuple(row for row, _ in rows[name][:cut]), rows[name][cut - 1][1] if cut else ()
        )
        for name, cut in cuts.items()
    }


@settings(max_examples=12)
@given(st.lists(st.integers(0, 10), min_size=4, max_size=4))
def test_resumed_anywhere(model: Model, cuts: list[int]) -> None:
    whole, rows = search(model, {})
    assert sum(one.samples for one in whole.values()) == 80
    at = {name: min(cut, len(rows[name])) for name, cut in zip(rows, cuts, strict=True)}
    resumed, again = search(model, stored_of(rows, at))
    for name, one in whole.items():
        assert [row.rewards for row, _ in again[name]] == [
            row.rewards for row, _ in rows[name][at[name] :]
        ]
        assert (resumed[name].samples, resumed[name].response) == (one.samples, one.response)
        assert resumed[name].stopped == one.stopped


@pytest.mark.parametrize("ends_after", range(1, 20, 3))
def test_given_up_at_any_round_it_grants_nobody_what_he_would_not_have_got(
    model: Model, ends_after: int
) -> None:
    whole, _ = search(model, {})
    given_up, rows = search(model, {}, ends_after=ends_after)
    assert given_up == {}
    resumed, _ = search(model, stored_of(rows, {name: len(rows[name]) for name in rows}))
    assert {n: r.samples for n, r in resumed.items()} == {n: r.samples for n, r in whole.items()}
