"""Methods made from a method."""

from __future__ import annotations

import pytest

from prelogit.core.errors import InputError
from prelogit.evaluation.arms import Arm, arm_of
from prelogit.evaluation.varied import batched, batches_of, matched, varied
from prelogit.wire.params import AISP


def test_one_parameter_is_changed_at_a_time() -> None:
    arms = varied(arm_of("aisp:n=8"), ["lambda=auto,0.3", "alpha=0.99"])
    assert [arm.label for arm in arms] == [
        "aisp:n=8,lambda=auto",
        "aisp:n=8,lambda=0.3",
        "aisp:n=8,alpha=0.99",
    ]
    assert [arm.params for arm in arms] == [
        AISP(n=8),
        AISP(n=8, lambda_=0.3),
        AISP(n=8, alpha=0.99),
    ]
    for wrong in ("lambda", "lambda=", "lamda=1", "alpha=2"):
        with pytest.raises(InputError):
            varied(arm_of("aisp"), [wrong])


def test_batched_aisp_splits_the_samples_into_prompts_and_rounds() -> None:
    arms = batched(32, AISP(alpha=0.99))
    sizes = [(arm.params.batch_size, arm.params.n, arm.params.rounds) for arm in arms]  # type: ignore[union-attr]
    assert sizes == [(2, 16, 2), (4, 8, 4), (8, 4, 8)]
    assert {arm.params.samples for arm in arms} == {32}
    assert {arm.fields["alpha"] for arm in arms} == {0.99}
    assert batches_of([*arms[::-1], arm_of("bon")]) == arms
    twin = arm_of("aisp:n=8,iterations=3,batch_size=4,lambda=0.3")
    assert batches_of([*arms, twin]) == arms
    with pytest.raises(InputError, match="8, 16"):
        batched(6, AISP())


def test_one_method_alone_with_as_many_rounds_as_prompts_is_no_study_of_batches() -> None:
    assert batches_of([arm_of("aisp:iterations=3,batch_size=4"), arm_of("bon")]) == []


def test_best_of_n_gets_as_many_samples_as_the_largest() -> None:
    arms = matched(
        [arm_of(text) for text in ("bon", "aisp:n=4,iterations=1", "aisp:n=8", "bon:n=3")]
    )
    assert [arm.params.samples for arm in arms] == [72, 8, 72, 3]
    assert matched([arm_of("bon")])[0].params.samples == 128


def test_no_method_stands_twice_and_no_label_means_two() -> None:
    assert len(matched([arm_of("aisp"), arm_of("aisp:n=16"), arm_of("aisp")])) == 1
    with pytest.raises(InputError, match="'mine'"):
        matched([Arm("mine", AISP()), Arm("mine", AISP(n=4))])
