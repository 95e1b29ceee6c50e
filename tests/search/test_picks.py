"""What each criterion picks, and that no more than the best few need be kept to say it."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.guard import HeldOut
from prelogit.core.records import Candidate, Iteration, Seconds
from prelogit.methods import METHODS
from prelogit.search.course import Course, Keep, Scored, Search
from prelogit.search.picks import picks
from prelogit.search.plan import Rollouts, Shape
from prelogit.wire.jobs import Stop
from prelogit.wire.params import AISP


class Drawn(NamedTuple):
    text: str
    reward: float
    held_out: float


# Rounds of three: few values, so that texts repeat and rewards tie.
few = st.integers(0, 3).map(float)
rounds = st.lists(
    st.lists(st.builds(Drawn, st.sampled_from("abcd"), few, few), min_size=3, max_size=3),
    min_size=1,
    max_size=5,
)


def search(keep: Keep, top_k: int, stop: Stop) -> Search:
    params, shape = AISP(proposal="mean", n=3, iterations=9), Shape(1, 4, 1, 0, "p")
    return Search(METHODS["aisp"], params, shape, keep=keep, top_k=top_k, stop=stop)


def run(what: Search, drawn: list[list[Drawn]], *, look: bool = True) -> Course:
    course = Course(what)
    for one in drawn:
        texts, rewards, held_out = zip(*one, strict=True)
        rollouts = Rollouts(
            token_ids=torch.arange(15).reshape(3, 5),
            length=torch.tensor([5, 4, 3], dtype=torch.int32),
            stopped=torch.ones(3, dtype=torch.bool),
            u_dot_noise=torch.zeros(3, dtype=torch.float64),
            decode_seconds=0.0,
            live_seconds=0.0,
        )
        second = torch.tensor(held_out, dtype=torch.float64) if look else None
        scored = Scored(list(texts), torch.tensor(rewards, dtype=torch.float64), 0.0)
        course.tell(rollouts, scored._replace(held_out=second))
    return course


@given(rounds)
def test_a_row_says_what_the_held_out_reward_sees(drawn: list[list[Drawn]]) -> None:
    rows = run(search("best", 1, Stop()), drawn).rows
    seen: list[Drawn] = []
    for row, one in zip(rows, drawn, strict=True):
        seen += one
        told = [candidate.held_out for candidate in one]
        best = max(seen, key=lambda c: c.reward)  # of equals the first
        assert row.held_out == HeldOut(
            mean=sum(told) / 3,
            best=max(told),
            of_best=best.held_out,
            best_so_far=max(c.held_out for c in seen),
            rewards=tuple(told),
        )
        assert row.diversity == 1.0  # of the candidate with three tokens there is none


@given(rounds, st.integers(1, 3), st.floats(0, 0.001) | st.none(), st.booleans(), st.data())
def test_the_best_few_tell_as_much_as_all_also_after_a_break(
    drawn: list[list[Drawn]], top_k: int, kl: float | None, look: bool, data: st.DataObject
) -> None:
    stop = Stop(kl=kl)
    everything = run(search("all", 1, stop), drawn, look=look)
    told = picks(everything.kept, everything.rows, stop)
    few = search("best", top_k, stop)
    whole = run(few, drawn, look=look)
    assert picks(whole.kept, whole.rows, stop) == told
    cut = data.draw(st.integers(0, len(drawn)))
    first = run(few, drawn[:cut], look=look)
    stored = few._replace(rows=tuple(first.rows), kept=tuple(first.kept))
    resumed = run(stored, drawn[cut:], look=look)
    assert resumed.kept == whole.kept
    assert [row.held_out for row in resumed.rows] == [row.held_out for row in whole.rows]
    # The answer and the best few are those of a search that nobody looks at.
    plain = run(search("best", top_k, Stop()), drawn, look=False)
    assert [(c.iteration, c.sample) for c in plain.kept] == [
        (c.iteration, c.sample) for c in whole.kept[: len(plain.kept)]
    ]
    assert len(whole.kept) <= top_k + 3


def one(iteration: int, sample: int, reward: float, held_out: float | None = None) -> Candidate:
    return Candidate(
        iteration=iteration, sample=sample, token_ids=(1,), text=f"{iteration}.{sample}",
        reward=reward, held_out=held_out, finish_reason="stop",
    )  # fmt: skip


def row(k: int, kl: float | None) -> Iteration:
    none: dict[str, Any] = {"rewards": (), "weights": (), "finish": (), "seconds": Seconds()}
    return Iteration(
        k=k, mean=0.0, std=0.0, best=0.0, best_so_far=0.0, tokens=0, kl_token_exact=kl, **none
    )


def test_each_criterion_picks_its_own() -> None:
    found = [one(1, 0, 1.0, 5.0), one(1, 1, 2.0, 4.0), one(2, 0, 3.0, 0.0), one(2, 1, 0.0, 5.0)]
    rows = [row(1, 0.5), row(2, 7.0)]
    told = picks(found, rows, Stop(kl=1.0))
    assert told is not None
    assert told.reward is not None
    assert told.held_out is not None
    assert told.kl is not None
    assert (told.reward.text, told.held_out.text, told.kl.text) == ("2.0", "1.0", "1.1")
    assert (told.kl.reward, told.kl.held_out, told.kl.kl) == (2.0, 4.0, 0.5)
    assert (told.reward.iteration, told.reward.sample, told.reward.kl) == (2, 0, 7.0)
    nowhere = picks(found, rows, Stop(kl=0.1))
    assert nowhere is not None
    assert nowhere.kl is None
    without = picks(found, rows, Stop())
    assert without is not None
    assert without.kl is None


def test_without_a_second_criterion_there_is_nothing_to_pick() -> None:
    assert picks([one(1, 0, 1.0)], [row(1, 0.5)], Stop()) is None
    told = picks([one(1, 0, 1.0)], [row(1, None)], Stop(kl=1.0))
    assert told is not None
    assert (told.held_out, told.kl) == (None, None)
    assert picks([], [], Stop(kl=1.0)) is None
