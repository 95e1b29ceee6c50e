"""Validation errors name the field as the client wrote it, and the cure."""

from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_core import from_json

from api.fields import field_problems
from prelogit.wire.jobs import JobRequest
from prelogit.wire.problem import FieldProblem


def refuse(text: str) -> list[FieldProblem]:
    with pytest.raises(ValidationError) as caught:
        JobRequest.model_validate(from_json(text))
    errors = caught.value.errors(include_url=False, include_input=False)
    return field_problems(errors, JobRequest.model_json_schema())


def with_method(text: str) -> str:
    return '{"prompts": ["a"], "method": ' + text + "}"


@pytest.mark.parametrize(
    ("text", "field", "words"),
    [
        ("{}", "prompts", "is required"),
        ("[]", "body", "must be an object"),
        ('{"prompts": []}', "prompts", "at least 1"),
        ('{"prompts": "a"}', "prompts", "must be a list"),
        ('{"prompts": [""]}', "prompts.0", "must not be empty"),
        ('{"prompts": ["a", 1]}', "prompts.1", "must be a text, or must be an object"),
        ('{"prompts": [{"id": "x"}]}', "prompts.0", "either prompt or messages"),
        ('{"prompts": [{"promt": "x"}]}', "prompts.0.promt", "did you mean 'prompt'?"),
        ('{"prompts": [{"messages": []}]}', "prompts.0.messages", "at least 1"),
        (
            '{"prompts": [{"messages": [{"role": "usr", "content": "x"}]}]}',
            "prompts.0.messages.0.role",
            "must be 'system', 'user' or 'assistant'",
        ),
        (
            '{"prompts": [{"id": "a", "prompt": "x"}, {"id": "a", "prompt": "y"}]}',
            "prompts",
            "'a' stands more than once",
        ),
        ('{"prompts": ["a"], "methd": {}}', "methd", "did you mean 'method'?"),
        ('{"prompts": ["a"], "seed": true}', "seed", "must be a whole number"),
        ('{"prompts": ["a"], "seed": "1"}', "seed", "must be a whole number"),
        ('{"prompts": ["a"], "metadata": {"k": 1}}', "metadata.k", "must be a text"),
        ('{"prompts": ["a"], "webhook": {}}', "webhook.url", "is required"),
        ('{"prompts": ["a"], "stop": {"plateau": 0}}', "stop.plateau", "1"),
        (with_method('"aisp"'), "method", "must be an object"),
        (with_method("{}"), "method.name", "is required"),
        (with_method('{"name": "asip"}'), "method.name", "did you mean 'aisp'?"),
        (with_method('{"name": "aisp", "sigma": 1}'), "method.sigma", "did you mean 'sigma2'?"),
        (with_method('{"name": "aisp", "sigma2": 0}'), "method.sigma2", "greater than 0"),
        (with_method('{"name": "aisp", "sigma2": NaN}'), "method.sigma2", "finite"),
        (with_method('{"name": "aisp", "sigma2": 1e999}'), "method.sigma2", "finite"),
        (with_method('{"name": "aisp", "lambda": "x"}'), "method.lambda", "must be 'auto'"),
        (with_method('{"name": "aisp", "lambda_": 0}'), "method.lambda_", "greater than 0"),
        (with_method('{"name": "bon", "iterations": 3}'), "method.iterations", "not a known field"),
        (with_method('{"name": "soft_bon", "lambda": 0}'), "method.lambda", "greater than 0"),
        (with_method('{"name": "soft_bon", "lamda": 1}'), "method.lamda", "did you mean 'lambda'?"),
        (with_method('{"name": "greedy", "n": 3}'), "method.n", "not a known field"),
        (with_method('{"name": "sample", "top_p": 0}'), "method.top_p", "greater than 0"),
        (
            '{"prompts": ["a"], "baselines": [{"name": "bon"}, {"name": "soft"}]}',
            "baselines.1.name",
            "did you mean 'soft_bon'?",
        ),
        ('{"prompts": ["a"], "baselines": [{}]}', "baselines.0.name", "is required"),
        (
            '{"prompts": ["a"], "baselines": [{"name": "greedy", "noise": "gaussian"}]}',
            "baselines.0.noise",
            "not a known field",
        ),
    ],
)
def test_names_the_one_field_and_the_cure(text: str, field: str, words: str) -> None:
    (problem,) = refuse(text)
    assert problem.field == field
    assert words in problem.message


def test_every_wrong_field_gets_its_own_entry() -> None:
    found = refuse('{"prompts": [""], "seed": -1, "keep": "x", "top_k": 0}')
    assert {problem.field for problem in found} == {"prompts.0", "seed", "keep", "top_k"}


@pytest.mark.parametrize(
    ("text", "allowed"),
    [
        ('{"prompts": ["a"], "keep": "x"}', ["best", "all"]),
        ('{"prompts": ["a"], "top_k": 0}', {"minimum": 1, "maximum": 1000}),
        (
            with_method('{"name": "x"}'),
            [
                "aisp",
                "bon",
                "soft_bon",
                "greedy",
                "sample",
                "args",
                "recontrol",
                "collect",
                "train",
            ],
        ),
        (
            '{"prompts": ["a"], "baselines": [{"name": "aisp"}]}',
            ["bon", "soft_bon", "greedy", "sample", "args", "recontrol"],
        ),
        (with_method('{"name": "aisp", "lambda": -1}'), [{"exclusiveMinimum": 0}, "auto"]),
        ('{"prompts": [{"promt": "x"}]}', ["id", "prompt", "messages"]),
    ],
)
def test_says_what_is_allowed(text: str, allowed: Any) -> None:
    (problem,) = refuse(text)
    assert problem.allowed == allowed


def test_a_huge_name_is_neither_repeated_nor_compared() -> None:
    (problem,) = refuse(json.dumps({"prompts": ["a"], "x" * 100_000: 1}))
    assert len(problem.field) < 200
    (problem,) = refuse(with_method(json.dumps({"name": "y" * 100_000})))
    assert len(problem.message) < 300
