"""Parents, places and temperatures of a round."""

from __future__ import annotations

import pytest
import torch

from prelogit.methods.aisp.revision import CHANGES, temperatures, uninformed_rounds
from prelogit.wire.params import AISP
from tests.methods.aisp.test_texts import made_from, play


def test_the_first_quarter_of_the_rounds_draws_from_the_prior() -> None:
    params = AISP(n=4, iterations=7)
    _, rows = play(params)
    prior = [set(one.population.parents) == {-1} for one in rows]  # type: ignore[union-attr]
    assert prior == [True, True] + [False] * 6
    assert uninformed_rounds(2) == 1


def test_half_of_the_samples_are_cut_and_the_others_changed_at_one_to_four_free_places() -> None:
    params = AISP(n=16, iterations=7)
    states, _ = play(params)
    state = states[3]
    revision = made_from(state, params)
    changed = []
    for i, place in enumerate(revision.parents):
        parent = state.population[place]
        length = len(parent.token_ids)
        redrawn = [t for t in range(length) if not revision.keep[i, t]]
        if i % 2 == 0:
            cut = redrawn[0]
            assert cut in parent.free
            assert redrawn == list(range(cut, length))
            assert revision.text[i, : cut + 1].tolist() == list(parent.token_ids[: cut + 1])
            assert set(revision.text[i, cut + 1 :].tolist()) <= {-1}
        else:
            assert set(redrawn) <= set(parent.free)
            assert len(redrawn) == min(CHANGES[i // 2 % 4], len(parent.free))
            assert revision.text[i, :length].tolist() == list(parent.token_ids)
            changed.append(tuple(redrawn))
    assert len(set(changed)) > 1


def test_parents_are_drawn_by_their_weights() -> None:
    params = AISP(n=64, iterations=7)
    state = play(params)[0][4]
    parents = made_from(state, params).parents
    for place, parent in enumerate(state.population):
        assert parents.count(place) == pytest.approx(64 * parent.weight, abs=2)


def test_half_of_the_priors_samples_are_hotter() -> None:
    params = AISP(n=8, temperature=0.5, heat=2.0)
    first = temperatures(made_from(play(params)[0][0], params), params)
    assert first.tolist() == [0.5, 1.0, 0.5, 1.0, 0.5, 1.0, 0.5, 1.0]


def test_samples_have_the_temperature_of_their_parent_but_for_one_in_eight() -> None:
    params = AISP(n=64, iterations=11, temperature=0.5, heat=2.0)
    same = []
    for state in play(params)[0][3:-1]:
        made = made_from(state, params)
        for place, own in zip(made.parents, temperatures(made, params).tolist(), strict=True):
            same.append(state.population[place].temperature == own)
    assert len(same) > 500
    assert sum(same) / len(same) == pytest.approx(7 / 8, abs=0.05)


def test_without_heat_all_samples_have_the_same_temperature() -> None:
    params = AISP(n=16, iterations=7, temperature=0.5, heat=1)
    for state in play(params)[0]:
        assert set(temperatures(made_from(state, params), params).tolist()) == {0.5}


def test_a_population_that_does_not_tell_its_temperature_goes_on_with_the_lower_one() -> None:
    params = AISP(n=64, iterations=7, temperature=0.5, heat=2.0)
    state = play(params)[0][3]
    old = tuple(one.model_copy(update={"temperature": None}) for one in state.population)
    made = made_from(state._replace(population=old), params)
    assert torch.mean((temperatures(made, params) == 0.5).double()) > 0.75
