"""Python functions as rewards: run beside the event loop, checked, and never trusted with originals."""

from __future__ import annotations

import asyncio
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from prelogit.core.errors import (
    InputError,
    ModelError,
    RewardAnswerError,
    RewardUnavailableError,
)
from prelogit.rewards.function import from_callable, from_path
from prelogit.rewards.load import load_reward
from prelogit.rewards.local import LocalReward
from prelogit.rewards.service import ServiceReward

ASKED = [[{"role": "user", "content": "a?"}], [{"role": "user", "content": "b?"}]]
ANSWERS = ["one", "three"]


def by_length(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
    """Longer is better."""
    return [float(len(response)) for response in responses]


async def test_a_function_scores_in_order() -> None:
    scored = await from_callable(by_length)(ASKED, ANSWERS)
    assert scored.rewards.tolist() == [3.0, 5.0]
    assert scored.rewards.dtype == torch.float64
    assert scored.reward.name == "by_length"
    assert scored.reward.fingerprint is not None
    assert (scored.calls, scored.tokens) == (1, 0)


async def test_a_coroutine_function_and_an_object_are_functions_too() -> None:
    class Constant:
        def __call__(self, conversations: Any, responses: list[str]) -> Any:
            return torch.full((len(responses),), 2.0)

    async def slow(conversations: Any, responses: list[str]) -> list[int]:
        await asyncio.sleep(0)
        return [1 for _ in responses]

    assert (await from_callable(slow)(ASKED, ANSWERS)).rewards.tolist() == [1.0, 1.0]
    assert (await from_callable(Constant())(ASKED, ANSWERS)).rewards.tolist() == [2.0, 2.0]


async def test_the_event_loop_runs_on_while_a_function_blocks() -> None:
    running, release = threading.Event(), threading.Event()

    def blocking(conversations: Any, responses: list[str]) -> list[float]:
        running.set()
        assert release.wait(60)
        return [0.0 for _ in responses]

    call = asyncio.create_task(from_callable(blocking)(ASKED, ANSWERS))
    assert await asyncio.to_thread(running.wait, 60)
    assert not call.done()
    release.set()
    assert (await call).rewards.tolist() == [0.0, 0.0]


async def test_a_function_is_never_called_twice_at_once() -> None:
    inside: list[int] = []
    most: list[int] = []

    def counting(conversations: Any, responses: list[str]) -> list[float]:
        inside.append(1)
        most.append(len(inside))
        threading.Event().wait(0.005)
        inside.pop()
        return [float(response) for response in responses]

    reward = from_callable(counting)
    calls = [reward(ASKED[:1], [str(place)]) for place in range(10)]
    answers = await asyncio.gather(*calls)
    assert [scored.rewards.item() for scored in answers] == list(range(10))
    assert max(most) == 1


async def test_what_a_function_does_to_its_arguments_stays_with_it() -> None:
    def greedy(conversations: list[list[dict[str, str]]], responses: list[str]) -> list[float]:
        for conversation, response in zip(conversations, responses, strict=True):
            conversation.append({"role": "assistant", "content": response})
            conversation[0]["content"] = "changed"
        answer = [float(len(conversation)) for conversation in conversations]
        responses.clear()
        return answer

    shared = [{"role": "user", "content": "a?"}]
    answers = ["x", "y"]
    scored = await from_callable(greedy)([shared, shared], answers)
    assert scored.rewards.tolist() == [2.0, 2.0]
    assert shared == [{"role": "user", "content": "a?"}]
    assert answers == ["x", "y"]


@pytest.mark.parametrize("error", [ZeroDivisionError("by 0"), KeyError("k"), SystemExit(3)])
async def test_an_error_of_the_function_is_named_by_type_and_text(error: BaseException) -> None:
    def broken(conversations: Any, responses: Any) -> Any:
        raise error

    with pytest.raises(RewardAnswerError) as refused:
        await from_callable(broken)(ASKED, ANSWERS)
    assert f"{type(error).__name__}: {error}" in str(refused.value)
    assert "broken" in str(refused.value)


async def test_of_a_file_that_fails_a_function_only_the_name_is_told() -> None:
    def reads(conversations: Any, responses: Any) -> Any:
        return Path("/srv/inside/words.txt").read_text()

    with pytest.raises(RewardAnswerError) as refused:
        await from_callable(reads)(ASKED, ANSWERS)
    assert "FileNotFoundError" in str(refused.value)
    assert "'words.txt'" in str(refused.value)
    assert "/srv" not in str(refused.value)


async def test_an_endless_error_text_is_cut() -> None:
    def broken(conversations: Any, responses: Any) -> Any:
        raise ValueError("x" * 100_000)

    with pytest.raises(RewardAnswerError) as refused:
        await from_callable(broken)(ASKED, ANSWERS)
    assert len(str(refused.value)) < 1000


async def test_a_function_may_say_that_it_is_unavailable() -> None:
    def away(conversations: Any, responses: Any) -> Any:
        raise RewardUnavailableError("the judge sleeps: wake it")

    with pytest.raises(RewardUnavailableError, match="the judge sleeps"):
        await from_callable(away)(ASKED, ANSWERS)


@pytest.mark.parametrize("answer", [[1.0], [1.0, float("nan")], None, "12", [True, False]])
async def test_nonsense_of_a_function_is_refused(answer: Any) -> None:
    with pytest.raises(RewardAnswerError):
        await from_callable(lambda conversations, responses: answer)(ASKED, ANSWERS)


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A module of the user's in the current folder, which is not on the path."""
    name = f"user_rewards_{tmp_path.name}".replace("-", "_")
    (tmp_path / f"{name}.py").write_text(
        "def length(conversations, responses):\n    return [len(r) for r in responses]\n"
        "class Judge:\n    @staticmethod\n    def one(conversations, responses):\n"
        "        return [1 for _ in responses]\n"
        "number = 3\n"
    )
    (tmp_path / f"{name}_broken.py").write_text("import no_such_module_at_all\n")
    (tmp_path / f"{name}_raises.py").write_text("raise ValueError('/secret/path')\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", __import__("sys").path.copy())
    return name


async def test_a_path_names_a_function_of_the_current_folder(module: str) -> None:
    scored = await from_path(f"{module}:length")(ASKED, ANSWERS)
    assert scored.rewards.tolist() == [3.0, 5.0]
    assert scored.reward.name == f"{module}:length"
    nested = await from_path(f"{module}:Judge.one", name="judge")(ASKED, ANSWERS)
    assert nested.rewards.tolist() == [1.0, 1.0]
    assert nested.reward.name == "judge"


def test_a_folder_of_the_user_hides_no_installed_module(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, module: str
) -> None:
    (tmp_path / "json.py").write_text("raise SystemError\n")
    from_path(f"{module}:length")
    import sys

    assert sys.path[-1] == str(tmp_path)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("{module}:no_such", "has no callable 'no_such'"),
        ("{module}:number", "has no callable 'number'"),
        ("{module}_broken:f", "no module named 'no_such_module_at_all'"),
        ("{module}_raises:f", "ValueError"),
        ("no_such_module_here:f", "PYTHONPATH"),
    ],
)
def test_a_path_to_nothing_names_what_is_missing(module: str, path: str, named: str) -> None:
    with pytest.raises(ModelError, match=named) as refused:
        from_path(path.format(module=module))
    assert "/secret" not in str(refused.value)


@pytest.mark.parametrize("path", ["module:", ":f", "module"])
def test_a_path_of_another_form_is_refused(path: str) -> None:
    with pytest.raises(InputError, match="module:callable"):
        from_path(path)


def test_the_fingerprint_follows_the_source(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    body = "def f(conversations, responses):\n    return [{} for _ in responses]\n"
    names = [f"fingerprinted_{tmp_path.name}_{place}".replace("-", "_") for place in range(3)]
    for name, value in zip(names, (1, 1, 2), strict=True):
        (tmp_path / f"{name}.py").write_text(body.format(value))
    marks = [from_path(f"{name}:f").hosted.fingerprint for name in names]
    assert marks[0] == marks[1] != marks[2]


async def test_load_reward_knows_all_forms(module: str) -> None:
    by_path = load_reward(f"{module}:length")
    assert isinstance(by_path, LocalReward)
    assert isinstance(load_reward(by_length), LocalReward)
    assert load_reward(by_path) is by_path
    assert (await load_reward(by_length)(ASKED, ANSWERS)).rewards.tolist() == [3.0, 5.0]
    service = load_reward("http://127.0.0.1:8100#ultra", patience_seconds=1.0)
    assert isinstance(service, ServiceReward)
    assert service.name == "ultra"


def test_load_reward_names_the_nearest() -> None:
    with pytest.raises(InputError, match="did you mean 'relevance'") as refused:
        load_reward("relevence")
    assert refused.value.field == "reward"
    assert "module:callable" in str(refused.value)
