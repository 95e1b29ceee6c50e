from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.records import Candidate
from prelogit.methods import METHODS
from prelogit.search.course import Course, Keep, Scored, Search
from prelogit.search.plan import Rollouts, Shape
from prelogit.wire.params import AISP

# One list a round: (text, reward) of its candidates.
Rounds = list[list[tuple[str, float]]]
rounds = st.lists(
    st.lists(
        st.tuples(st.sampled_from("abcd"), st.integers(0, 5).map(float)), min_size=3, max_size=3
    ),
    min_size=1,
    max_size=4,
)


def run(search: Search, drawn: Rounds) -> Course:
    course = Course(search)
    for one in drawn:
        n = len(one)
        zeros = torch.zeros(n, dtype=torch.float64)
        rollouts = Rollouts(
            token_ids=torch.zeros(n, 1, dtype=torch.long),
            length=torch.ones(n, dtype=torch.int32),
            stopped=torch.ones(n, dtype=torch.bool),
            u_dot_noise=zeros,
            decode_seconds=0.0,
            live_seconds=0.0,
        )
        texts, rewards = zip(*one, strict=True)
        course.tell(rollouts, Scored(list(texts), torch.tensor(rewards, dtype=torch.float64), 0.0))
    return course


def search(keep: Keep, top_k: int, kept: tuple[Candidate, ...] = ()) -> Search:
    params, shape = AISP(proposal="mean", n=3, iterations=4), Shape(1, 4, 1, 0, "p")
    return Search(METHODS["aisp"], params, shape, keep=keep, top_k=top_k, kept=kept)


@given(rounds, st.integers(1, 4))
def test_the_best_that_are_kept_are_different_texts(drawn: Rounds, top_k: int) -> None:
    kept = run(search("best", top_k), drawn).kept
    best: dict[str, float] = {}
    for text, reward in (one for round_ in drawn for one in round_):
        best[text] = max(reward, best.get(text, reward))
    assert [c.reward for c in kept] == sorted(best.values(), reverse=True)[:top_k]
    assert len({c.text for c in kept}) == len(kept)
    assert all(best[c.text] == c.reward for c in kept)


@given(rounds, st.integers(1, 4))
def test_a_resumed_search_keeps_what_a_whole_one_keeps(drawn: Rounds, top_k: int) -> None:
    whole = run(search("best", top_k), drawn).kept
    for cut in range(len(drawn)):
        first = run(search("best", top_k), drawn[:cut])
        stored = search("best", top_k, tuple(first.kept))._replace(rows=tuple(first.rows))
        assert run(stored, drawn[cut:]).kept == whole


def test_where_all_are_kept_copies_stay() -> None:
    assert len(run(search("all", 1), [[("a", 1.0), ("a", 1.0), ("b", 0.0)]]).kept) == 3
