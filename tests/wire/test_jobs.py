from __future__ import annotations

import json
from typing import Any

import pytest
from pydantic import ValidationError

from prelogit.wire.jobs import JobRequest, PromptItem, RewardRef
from prelogit.wire.params import AISP, BestOfN


def parse(**body: Any) -> JobRequest:
    return JobRequest.model_validate_json(json.dumps({"prompts": ["a"], **body}))


def test_only_prompts_are_required_and_defaults_are_the_documented_ones() -> None:
    request = parse().filled(model="m")
    assert request.method == AISP(
        proposal="texts",
        n=16,
        iterations=8,
        lambda_="auto",
        sigma2="auto",
        alpha="auto",
        temperature=0.8,
        top_p=0.95,
    )
    stored = json.loads(request.model_dump_json())
    assert stored["method"]["lambda"] == "auto"
    assert stored["reward"] == {"name": "relevance"}
    assert (stored["max_new_tokens"], stored["seed"], stored["keep"], stored["top_k"]) == (
        64,
        0,
        "best",
        1,
    )
    assert JobRequest.model_validate_json(request.model_dump_json()) == request


@pytest.mark.parametrize(
    ("given", "proposal", "variance", "sigma2"),
    [
        ({}, "texts", None, "auto"),
        ({"sigma2": "auto", "alpha": 0.99}, "texts", None, "auto"),
        ({"sigma2": 0.3}, "mean", "preserve", 0.3),
        ({"variance": "fixed"}, "mean", "fixed", 0.5),
        ({"proposal": "mean"}, "mean", "preserve", 0.5),
        ({"proposal": "mean", "sigma2": "auto"}, "mean", "preserve", "auto"),
        ({"variance": "fixed", "sigma2": "auto"}, "mean", "fixed", "auto"),
        ({"horizon": 8}, "mean", "preserve", 0.5),
        ({"preset": "paper"}, "mean", "fixed", 0.5),
        ({"preset": "paper", "sigma2": 0.1, "lambda": 4.0}, "mean", "fixed", 0.1),
    ],
)
def test_what_is_given_says_whether_aisp_has_a_mean(
    given: dict[str, Any], proposal: str, variance: str | None, sigma2: float | str
) -> None:
    method = parse(method={"name": "aisp", **given}).method
    assert isinstance(method, AISP)
    assert (method.proposal, method.variance, method.sigma2) == (proposal, variance, sigma2)
    usual = "auto" if proposal == "texts" else 0.9999
    assert method.alpha == given.get("alpha", usual)
    assert AISP.model_validate(method.model_dump()) == method


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"prompts": []}, ("prompts",)),
        ({"methd": {}}, ("methd",)),
        ({"method": {"name": "magic"}}, ("method",)),
        (
            {"method": {"name": "aisp", "sigma2": 0}},
            ("method", "aisp", "sigma2", "constrained-float"),
        ),
        (
            {"method": {"name": "aisp", "sigma2": float("nan")}},
            ("method", "aisp", "sigma2", "constrained-float"),
        ),
        (
            {"method": {"name": "aisp", "lambda": -1}},
            ("method", "aisp", "lambda", "constrained-float"),
        ),
        (
            {"method": {"name": "aisp", "alpha": 1}},
            ("method", "aisp", "alpha", "constrained-float"),
        ),
        ({"method": {"name": "aisp", "n": 0}}, ("method", "aisp", "n")),
        ({"method": {"name": "aisp", "n": True}}, ("method", "aisp", "n")),
        ({"method": {"name": "aisp", "preset": "paper", "lambda": "auto"}}, ("method", "aisp")),
        (
            {"method": {"name": "aisp", "proposal": "texts", "variance": "fixed"}},
            ("method", "aisp"),
        ),
        ({"method": {"name": "aisp", "proposal": "texts", "sigma2": 0.5}}, ("method", "aisp")),
        ({"method": {"name": "aisp", "proposal": "texts", "horizon": 8}}, ("method", "aisp")),
        ({"method": {"name": "aisp", "horizon": 0}}, ("method", "aisp", "horizon")),
        (
            {"method": {"name": "aisp", "preset": "paper", "proposal": "texts"}},
            ("method", "aisp"),
        ),
        ({"method": {"name": "aisp", "top_p": 1}}, ("method", "aisp", "top_p")),
        ({"seed": False}, ("seed",)),
        ({"seed": -1}, ("seed",)),
        ({"max_new_tokens": "64"}, ("max_new_tokens",)),
        ({"prompts": [{"id": "x", "prompt": "a"}, {"id": "x", "prompt": "b"}]}, ("prompts",)),
        ({"webhook": {}}, ("webhook", "url")),
        ({"webhook": {"url": "ftp://example.org"}}, ("webhook", "url")),
        ({"webhook": {"url": "https://me:pw@example.org"}}, ("webhook", "url")),
        ({"webhook": {"url": "https://example.org/#x"}}, ("webhook", "url")),
        ({"webhook": {"url": "https://example.org", "events": []}}, ("webhook", "events")),
        (
            {"webhook": {"url": "https://example.org", "events": ["job.end"]}},
            ("webhook", "events", 0),
        ),
        (
            {"webhook": {"url": "https://example.org", "events": ["job.ended", "job.ended"]}},
            ("webhook", "events"),
        ),
        ({"stop": {"held_out": 2}}, ("stop",)),
        ({"stop": {"held_out": 0}, "held_out": {"name": "b"}}, ("stop", "held_out")),
        ({"stop": {"kl": -1}}, ("stop", "kl")),
        ({"stop": {"kl": float("inf")}}, ("stop", "kl")),
        ({"held_out": {}}, ("held_out",)),
        ({"held_out": {"name": "relevance"}}, ("held_out",)),
        ({"reward": {"name": "a"}, "held_out": {"name": "a"}}, ("held_out",)),
        ({"held_out": {"name": "b", "model": "m"}}, ("held_out",)),
        ({"baselines": [{"name": "bon", "top_p": 0}]}, ("baselines", 0, "bon", "top_p")),
    ],
)
def test_bad_input_is_refused_at_its_field(body: dict[str, Any], field: tuple[Any, ...]) -> None:
    with pytest.raises(ValidationError) as refused:
        parse(**body)
    assert field in [error["loc"] for error in refused.value.errors()]


@pytest.mark.parametrize(
    "item",
    [
        {},
        {"prompt": "a", "messages": [{"role": "user", "content": "a"}]},
        {"messages": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]},
        {"messages": []},
        {"id": "a/b", "prompt": "x"},
        {"id": "", "prompt": "x"},
        {"prompt": ""},
    ],
)
def test_a_prompt_is_text_or_a_conversation_that_awaits_an_answer(item: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        parse(prompts=[item])


@pytest.mark.parametrize(
    ("reward", "held_out", "same"),
    [
        ({"name": "a"}, {"name": "b"}, False),
        ({"url": "http://h/v1"}, {"name": "a"}, False),
        ({"url": "http://h", "name": "a"}, {"url": "http://h/", "name": "b"}, True),
        ({"url": "http://h"}, {"url": "http://h", "protocol": "prelogit"}, True),
        ({"url": "http://h", "model": "a"}, {"url": "http://h", "model": "b"}, False),
        ({"url": "http://h"}, {"url": "http://h", "protocol": "tei"}, False),
        ({"url": "http://h"}, {"url": "http://other"}, False),
    ],
)
def test_the_reward_that_looks_on_is_another_than_the_one_that_steers(
    reward: dict[str, Any], held_out: dict[str, Any], same: bool
) -> None:
    body = {"reward": reward, "held_out": held_out, "stop": {"held_out": 1, "kl": 0}}
    if same:
        with pytest.raises(ValidationError, match="name another one, or leave held_out out"):
            parse(**body)
    else:
        stored = parse(**body).model_dump(mode="json")
        assert stored["held_out"] == held_out
        assert JobRequest.model_validate(stored).held_out == RewardRef(**held_out)


def test_ids_are_filled_in_and_step_aside() -> None:
    request = parse(prompts=["a", {"id": "p1", "prompt": "b"}, {"prompt": "c"}]).filled(model="m")
    ids = [item.id for item in request.prompts if isinstance(item, PromptItem)]
    assert ids == ["p1_", "p1", "p3"]


def test_baselines_match_the_methods_samples() -> None:
    request = parse(
        method={"name": "aisp", "n": 4, "iterations": 3},
        baselines=[{"name": "bon"}, {"name": "bon", "n": 9}],
    ).filled(model="m")
    assert [b.n for b in request.baselines] == [16, 9]
    alone = parse(method={"name": "bon"}).filled(model="m").method
    assert isinstance(alone, BestOfN)
    assert alone.n == 128


def test_any_method_of_one_round_is_a_baseline_with_its_own_or_the_methods_samples() -> None:
    others = [{"name": "soft_bon", "lambda": 2}, {"name": "sample"}, {"name": "sample", "n": 2}]
    request = parse(
        method={"name": "bon", "n": 7},
        baselines=[*others, {"name": "greedy"}, {"name": "recontrol", "value": "v"}],
    ).filled(model="m")
    assert [b.samples for b in request.baselines] == [7, 7, 2, 1, 1]
    assert JobRequest.model_validate_json(request.model_dump_json()) == request
    stored = json.loads(request.model_dump_json())["baselines"]
    assert (stored[0]["name"], stored[0]["lambda"], stored[0]["n"]) == ("soft_bon", 2, 7)
    for name in ("aisp", "collect", "train"):
        with pytest.raises(ValidationError):
            parse(baselines=[{"name": name, "value": "v"}])
    assert parse(method={"name": "sample"}).filled(model="m").method.samples == 1
    assert parse(method={"name": "soft_bon"}).filled(model="m").method.samples == 128


def test_the_paper_is_fixed_variance_and_a_number() -> None:
    for paper in (AISP.paper(), AISP(preset="paper"), AISP(**{"preset": "paper", "lambda": 0.5})):
        assert (paper.n, paper.iterations, paper.variance) == (32, 32, "fixed")
        assert isinstance(paper.lambda_, float)
    assert AISP.paper(n=4, lambda_=60.0).lambda_ == 60.0
    with pytest.raises(ValidationError, match="letter"):
        AISP.paper(variance="preserve")
