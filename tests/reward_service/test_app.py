"""The service over HTTP: scores, refusals as problem documents, health, and who is not waited for."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from prelogit.core.errors import RewardAnswerError
from prelogit.rewards.answers import NONSENSE
from prelogit.rewards.hosted.embedding import load_embedding
from prelogit.rewards.hosted.reward import HostedReward, Scored
from prelogit.rewards.service import ServiceReward
from prelogit.wire.problem import Problem
from reward_service import hosting
from reward_service.settings import RewardSettings
from reward_service.specs import EmbeddingSpec, FunctionSpec

NUMBERS = """
calls = []
def score(conversations, responses):
    '''The number that the response is.'''
    calls.append(list(responses))
    if "bad" in responses:
        raise ValueError("one of them is bad")
    return [float(response) for response in responses]
"""


def user(text: str = "count") -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def asking(*responses: str, **more: Any) -> dict[str, Any]:
    return {"conversations": [user()] * len(responses), "responses": list(responses), **more}


def problem_of(answer: httpx.Response) -> Problem:
    """The document of a refusal; checks what all of them promise."""
    assert answer.headers["content-type"] == "application/problem+json"
    document = Problem.model_validate_json(answer.content)
    assert document.status == answer.status_code
    assert document.detail
    assert "Traceback" not in answer.text
    assert str(Path(hosting.__file__).parents[1]) not in answer.text
    return document


@pytest.fixture
def numbers(
    serving: Callable[..., Any], write_module: Callable[[str], str]
) -> Iterator[tuple[Any, str]]:
    """A service with two function rewards; the long window makes ten responses one batch."""
    module = write_module(NUMBERS)
    spec = FunctionSpec(name="numbers", kind="function", path=f"{module}:score")
    twin = FunctionSpec(name="numerals", kind="function", path=f"{module}:score")
    settings = RewardSettings(
        rewards=(spec, twin),
        reward_window_seconds=10.0,
        reward_batch_items=10,
        reward_max_body_bytes=4096,
    )
    with serving(settings) as service:
        yield service, module


def batches_of(module: str) -> list[list[str]]:
    import importlib

    calls: list[list[str]] = importlib.import_module(module).calls
    return calls


async def send_all(url: str, bodies: list[dict[str, Any]]) -> list[httpx.Response]:
    async with httpx.AsyncClient(base_url=url, timeout=120, trust_env=False) as http:
        return await asyncio.gather(*(http.post("/v1/score", json=body) for body in bodies))


async def test_concurrent_requests_are_scored_in_one_batch_each_in_its_order(
    numbers: tuple[Any, str],
) -> None:
    service, module = numbers
    bodies = [asking(str(2 * place), str(2 * place + 1), reward="numbers") for place in range(5)]
    answers = await send_all(service.url, bodies)
    for place, answer in enumerate(answers):
        assert answer.status_code == 200
        assert answer.json()["scores"] == [2.0 * place, 2.0 * place + 1]
        assert answer.json()["reward"] == "numbers"
        assert len(answer.json()["fingerprint"]) == 64
    assert [len(call) for call in batches_of(module)] == [10]


async def test_a_bad_request_in_a_batch_fails_alone(numbers: tuple[Any, str]) -> None:
    service, module = numbers
    bodies = [asking("1", "2", "3", reward="numbers"), asking("bad", reward="numbers")]
    bodies += [asking("4", "5", "6", reward="numbers")] * 2
    answers = await send_all(service.url, bodies)
    assert [answer.status_code for answer in answers] == [200, 502, 200, 200]
    document = problem_of(answers[1])
    assert document.type == NONSENSE
    assert "ValueError: one of them is bad" in document.detail
    assert answers[0].json()["scores"] == [1.0, 2.0, 3.0]
    assert len(batches_of(module)[0]) == 10  # together first, then one by one


@pytest.mark.parametrize("score", ["nan", "inf"])
def test_a_score_that_is_not_finite_never_leaves_as_a_number(
    numbers: tuple[Any, str], score: str
) -> None:
    service, _ = numbers
    responses = ["1"] * 9 + [score]
    answer = service.http.post("/v1/score", json=asking(*responses, reward="numbers"))
    assert answer.status_code == 502
    assert problem_of(answer).type == NONSENSE
    assert "response 9" in problem_of(answer).detail


def test_an_unknown_reward_names_the_nearest_and_all(numbers: tuple[Any, str]) -> None:
    service, _ = numbers
    answer = service.http.post("/v1/score", json=asking("1", reward="number"))
    assert answer.status_code == 422
    (field,) = problem_of(answer).errors
    assert field.field == "reward"
    assert "did you mean 'numbers'" in field.message
    assert field.allowed == ["numbers", "numerals"]
    unnamed = service.http.post("/v1/score", json=asking("1"))
    assert unnamed.status_code == 422
    assert problem_of(unnamed).errors[0].allowed == ["numbers", "numerals"]


@pytest.mark.parametrize(
    ("body", "field", "message"),
    [
        ({"conversations": [user()]}, "responses", "Field required"),
        ({**asking("1"), "rewards": "x"}, "rewards", "did you mean 'reward'"),
        ({"conversations": [user(), user()], "responses": ["1"]}, "body", "2 conversations but 1"),
        ({"conversations": [], "responses": []}, "conversations", "at least 1"),
        ({**asking("1"), "responses": [1]}, "responses.0", "string"),
        ({**asking("1"), "responses": "1"}, "responses", "tuple"),
        ({**asking("\ud800"), "reward": "numbers"}, "responses.0", "not Unicode"),
        (
            {"conversations": [user("a\udfff")], "responses": ["1"], "reward": "numbers"},
            "conversations.0.0.content",
            "character 1",
        ),
        (
            {"conversations": [[{"role": "human", "content": "x"}]], "responses": ["1"]},
            "conversations.0.0.role",
            "'user'",
        ),
        (
            {"conversations": [[{"role": "user", "contents": "x"}]], "responses": ["1"]},
            "conversations.0.0.contents",
            "did you mean 'content'",
        ),
        ([1, 2], "body", "dictionary"),
    ],
)
def test_a_bad_body_is_refused_by_its_field(
    numbers: tuple[Any, str], body: Any, field: str, message: str
) -> None:
    service, _ = numbers
    answer = service.http.post(
        "/v1/score", content=json.dumps(body), headers={"content-type": "application/json"}
    )
    assert answer.status_code == 422
    errors = {each.field: each.message for each in problem_of(answer).errors}
    assert message in errors[field]


@pytest.mark.parametrize("content", [b"{", b"", b"\xff", b"nonsense"])
def test_a_body_that_is_no_json_is_refused(numbers: tuple[Any, str], content: bytes) -> None:
    service, _ = numbers
    headers = {"content-type": "application/json"}
    answer = service.http.post("/v1/score", content=content, headers=headers)
    assert answer.status_code in (400, 422)
    problem_of(answer)


def test_a_body_that_is_too_large_is_refused_however_it_comes(numbers: tuple[Any, str]) -> None:
    service, module = numbers
    big = json.dumps(asking("1" * 5000, reward="numbers")).encode()
    headers = {"content-type": "application/json"}
    announced = service.http.post("/v1/score", content=big, headers=headers)

    def in_pieces() -> Iterator[bytes]:
        for start in range(0, len(big), 100):
            yield big[start : start + 100]

    chunked = service.http.post("/v1/score", content=in_pieces(), headers=headers)
    for answer in (announced, chunked):
        assert answer.status_code == 413
        assert "4096 bytes" in problem_of(answer).detail
    assert batches_of(module) == []


def test_other_paths_and_verbs_are_problems_too(numbers: tuple[Any, str]) -> None:
    service, _ = numbers
    assert problem_of(service.http.get("/v1/nothing")).status == 404
    assert problem_of(service.http.get("/v1/score")).status == 405


def test_the_hosted_rewards_are_listed_and_described(numbers: tuple[Any, str]) -> None:
    service, _ = numbers
    first, second = service.http.get("/v1/rewards").json()
    assert (first["name"], second["name"]) == ("numbers", "numerals")
    assert first["kind"] == "function"
    assert first["description"] == "The number that the response is."
    assert first["fingerprint"] == second["fingerprint"]
    assert "/v1/score" in service.http.get("/openapi.json").json()["paths"]


async def test_relevance_over_http_is_relevance_in_the_process(serving: Callable[..., Any]) -> None:
    settings = RewardSettings(
        rewards=(EmbeddingSpec(name="relevance", kind="embedding"),), reward_threads=1
    )
    prompts = [user(f"What do I do about problem number {place}?") for place in range(12)]
    responses = [f"Number {place}: sleep. " * (place + 1) for place in range(12)]
    hosted = load_embedding()
    with serving(settings) as service:
        reward = ServiceReward(service.url, "relevance", patience_seconds=60)
        calls = [reward(prompts[i : i + 3], responses[i : i + 3]) for i in range(0, 12, 3)]
        scored = await asyncio.gather(*calls)
        long = service.http.post("/v1/score", json=asking("x y " * 300, "x")).json()
        (info,) = service.http.get("/v1/rewards").json()
        bounds = await reward.told_bounds()
    found = [reward for part in scored for reward in part.rewards.tolist()]
    assert found == pytest.approx(hosted.score(prompts, responses).scores, abs=1e-5)
    assert scored[0].reward.fingerprint == hosted.fingerprint == info["fingerprint"]
    assert scored[0].tokens > 0
    assert long["truncated"] == [True, False]
    assert (info["low"], info["high"]) == bounds == (-10.0, 10.0)


async def test_the_service_is_alive_while_it_loads_and_clients_wait_for_it(
    serving: Callable[..., Any],
    write_module: Callable[[str], str],
    wait_until: Callable[..., None],
    tmp_path: Path,
) -> None:
    gate = tmp_path / "gate"
    module = write_module(
        f"import time\nfrom pathlib import Path\n"
        f"while not Path({str(gate)!r}).exists():\n    time.sleep(0.01)\n" + NUMBERS
    )
    spec = FunctionSpec(name="slow", kind="function", path=f"{module}:score")
    with serving(RewardSettings(rewards=(spec,)), ready=False) as service:
        try:
            assert service.http.get("/health/live").json() == {"status": "live"}
            for answer in (
                service.http.get("/health/ready"),
                service.http.post("/v1/score", json=asking("1")),
            ):
                assert answer.status_code == 503
                assert int(answer.headers["retry-after"]) > 0
                assert "'slow'" in problem_of(answer).detail
                assert "loading" in problem_of(answer).detail
            (info,) = service.http.get("/v1/rewards").json()
            assert info["fingerprint"] is None
            reward = ServiceReward(service.url, patience_seconds=60, longest_wait_seconds=0.02)
            call = asyncio.create_task(reward([user()], ["4"]))
            await asyncio.sleep(0.05)
            assert not call.done()
        finally:
            gate.touch()
        assert (await call).rewards.tolist() == [4.0]
        wait_until(lambda: service.http.get("/health/ready").status_code == 200)


def test_a_reward_that_cannot_load_is_named_and_the_others_work(
    serving: Callable[..., Any], write_module: Callable[[str], str], wait_until: Callable[..., None]
) -> None:
    good = FunctionSpec(name="good", kind="function", path=f"{write_module(NUMBERS)}:score")
    lost = FunctionSpec(name="lost", kind="function", path="no_such_module:score")
    with serving(RewardSettings(rewards=(lost, good)), ready=False) as service:
        ask = asking("1", reward="good")
        wait_until(lambda: service.http.post("/v1/score", json=ask).status_code == 200)
        answer = service.http.get("/health/ready")
        assert answer.status_code == 503
        (field,) = problem_of(answer).errors
        assert field.field == "lost"
        assert "no module named 'no_such_module'" in field.message
        refused = service.http.post("/v1/score", json=asking("1", reward="lost"))
        assert refused.status_code == 500  # which nobody waits for
        assert "retry-after" not in refused.headers
        assert "PYTHONPATH" in problem_of(refused).detail


def hosting_only(score: Callable[..., Scored], monkeypatch: pytest.MonkeyPatch) -> RewardSettings:
    """Settings of a service whose one reward is the given one."""
    hosted = HostedReward("it", "function", "", None, None, None, score)
    monkeypatch.setattr(hosting, "load", lambda *_: hosted)
    spec = FunctionSpec(name="it", kind="function", path="not:used")
    return RewardSettings(rewards=(spec,))


async def test_a_crash_of_a_model_is_a_500_that_tells_nothing_of_the_inside(
    serving: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def crash(conversations: Any, responses: Any) -> Scored:
        raise RuntimeError("CUDA error at /secret/path")

    with serving(hosting_only(crash, monkeypatch)) as service:
        answer = service.http.post("/v1/score", json=asking("1"))
        assert answer.status_code == 500
        assert "secret" not in answer.text
        problem_of(answer)
        with pytest.raises(RewardAnswerError, match="500"):
            await ServiceReward(service.url)([user()], ["1"])
        assert service.http.get("/health/live").status_code == 200


async def test_nobody_is_scored_who_has_hung_up(
    serving: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
    wait_until: Callable[..., None],
) -> None:
    release, seen = threading.Event(), list[str]()

    def slow(conversations: Any, responses: Any) -> Scored:
        seen.extend(responses)
        assert release.wait(60)
        return Scored([0.0] * len(responses), [0] * len(responses))

    with serving(hosting_only(slow, monkeypatch)) as service:
        batcher = service.app.state.hosting.find("it")
        async with httpx.AsyncClient(base_url=service.url, timeout=60, trust_env=False) as http:
            first = asyncio.create_task(http.post("/v1/score", json=asking("first")))
            await asyncio.to_thread(wait_until, lambda: seen == ["first"])
            gone = asyncio.create_task(http.post("/v1/score", json=asking("gone")))
            await asyncio.to_thread(wait_until, lambda: len(batcher._queue) == 1)
            gone.cancel()
            await asyncio.to_thread(wait_until, lambda: batcher._queue[0].answer.done())
            last = asyncio.create_task(http.post("/v1/score", json=asking("last")))
            await asyncio.to_thread(wait_until, lambda: len(batcher._queue) == 2)
            release.set()
            assert (await first).status_code == (await last).status_code == 200
    assert seen == ["first", "last"]
