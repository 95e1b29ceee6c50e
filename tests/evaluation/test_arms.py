"""Methods as they are written on the command line and in files."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from prelogit.core.errors import InputError
from prelogit.evaluation.arms import Arm, arm_of, arms_of_file
from prelogit.wire.params import AISP, BestOfN


def test_a_method_is_written_with_its_noise_and_fields() -> None:
    assert arm_of("bon").params == BestOfN()
    assert arm_of("bon:gaussian,n=8").params == BestOfN(noise="gaussian", n=8)
    arm = arm_of("aisp:n=8,lambda=0.3,variance=fixed,window=null")
    assert arm.params == AISP(n=8, lambda_=0.3, variance="fixed")
    assert arm.label == "aisp:n=8,lambda=0.3,variance=fixed,window=null"


def test_the_key_is_that_of_the_parameters_and_not_of_the_label() -> None:
    assert arm_of("aisp").key == Arm("mine", AISP()).key
    assert arm_of("aisp").key != arm_of("aisp:n=8").key


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("ais", "did you mean 'aisp'"),
        ("aisp:lamda=1", "did you mean 'lambda'"),
        ("aisp:n", "'n' is not option=value"),
        ("aisp:n=0", "n: Input should be greater"),
        ("collect:value=a", "prelogit value"),
        ("train:value=a", "prelogit value"),
        ('aisp:preset=paper,lambda="auto"', "lambda a number"),
    ],
)
def test_what_is_no_method_is_told(text: str, told: str) -> None:
    with pytest.raises(InputError, match=told):
        arm_of(text)


def test_a_file_holds_one_method_several_or_labels(tmp_path: Path) -> None:
    path = tmp_path / "methods.json"

    def read(value: object) -> dict[str, object]:
        path.write_text(json.dumps(value))
        return {arm.label: arm.params for arm in arms_of_file(path)}

    one = {"name": "aisp", "n": 8}
    assert read(one) == {"aisp:n=8": AISP(n=8)}
    assert read([one, {"name": "bon", "noise": "gaussian", "n": None}]) == {
        "aisp:n=8": AISP(n=8),
        "bon:gaussian": BestOfN(noise="gaussian"),
    }
    assert read({"tuned": one}) == {"tuned": AISP(n=8)}


@pytest.mark.parametrize("text", ["", "[]", "{}", "[3]", "4", '{"a": {"name": "aips"}}'])
def test_a_file_that_holds_none_is_told(tmp_path: Path, text: str) -> None:
    path = tmp_path / "methods.json"
    path.write_text(text)
    with pytest.raises(InputError):
        arms_of_file(path)
    with pytest.raises(InputError, match=r"nowhere\.json"):
        arms_of_file(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ('[{"name": {}}]', "there is no method {}"),
        ('[{"name": "aisp", "m": 3}]', "has no parameter 'm'"),
        ("[" * 100_000, "cannot be read as JSON"),
    ],
)
def test_what_is_wrong_in_a_file_is_told_with_its_name(
    text: str, told: str, tmp_path: Path
) -> None:
    path = tmp_path / "arms.json"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        arms_of_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert told in str(caught.value)
