"""What is tuned, and over which values."""

from __future__ import annotations

from typing import get_args

import pytest

from prelogit.core.errors import InputError
from prelogit.evaluation.arms import CLASSES
from prelogit.tuning.space import GRIDS, Choices, Range, axes_of, axis_of, changed, grid
from prelogit.wire.params import AISP, BestOfN, Params


def test_values_are_choices_and_two_ends_a_range() -> None:
    assert axis_of("lambda=auto,0.3,0.3") == Choices("lambda", ("auto", 0.3))
    wide = axis_of("lambda=0.1..3")
    assert wide == Range("lambda", 0.1, 3.0)
    assert isinstance(wide, Range)
    assert wide.log
    narrow = axis_of("top_p=0.5..0.9")
    assert isinstance(narrow, Range)
    assert not narrow.log


@pytest.mark.parametrize(
    ("texts", "told"),
    [
        (["lambda"], "neither"),
        (["lambda="], "neither"),
        (["lambda=1..x"], "numbers"),
        (["lambda=3..1"], "smaller"),
        (["lamda=1"], "did you mean 'lambda'"),
        (["alpha=0.9,2"], "less than 1"),
        (["alpha=0.5..1.5"], "less than 1"),
        (["lambda=1", "lambda=2"], "twice"),
    ],
)
def test_what_cannot_be_tuned_is_told(texts: list[str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        axes_of(AISP(), texts)


def test_without_a_grid_the_method_has_its_own() -> None:
    assert [axis.name for axis in axes_of(AISP(), ())] == ["lambda", "sigma2", "alpha"]
    assert [axis.name for axis in axes_of(BestOfN(), ())] == ["temperature", "top_p"]
    assert [axis.name for axis in axes_of(BestOfN(noise="gaussian"), ())] == ["sigma2"]


@pytest.mark.parametrize("name", GRIDS)
def test_every_own_grid_is_of_parameters_that_the_method_has(name: str) -> None:
    method, _, noise = name.partition(":")
    classes = {one.model_fields["name"].default: one for one in get_args(Params)}
    if method not in classes:
        pytest.skip(f"there is no method {method}")
    required = {"value": "mine"} if "value" in classes[method].model_fields else {}
    params = CLASSES[method].model_validate({**required, **({"noise": noise} if noise else {})})
    for axis in axes_of(params, ()):  # type: ignore[arg-type]
        assert isinstance(axis, Choices)
        for value in axis.values:
            changed(params, {axis.name: value})  # type: ignore[arg-type]


def test_a_grid_has_every_combination_and_no_range() -> None:
    axes = [axis_of("lambda=auto,0.5"), axis_of("alpha=0.9,0.99")]
    assert list(grid(axes)) == [
        {"lambda": "auto", "alpha": 0.9},
        {"lambda": "auto", "alpha": 0.99},
        {"lambda": 0.5, "alpha": 0.9},
        {"lambda": 0.5, "alpha": 0.99},
    ]
    with pytest.raises(InputError, match="optuna"):
        list(grid([*axes, axis_of("sigma2=0.1..1")]))
