"""A job's own reward server: only where the installation allows it, and with the key that is meant for it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy.orm import Session, sessionmaker

from prelogit.core.errors import InputError, ModelError, RewardAnswerError
from prelogit.wire.reward import RewardRef
from tests.workers.conftest import DeskMaker
from tests.workers.services import Reward
from tests.workers.stack import ended
from workers.reward import reward_of
from workers.run import run_group
from workers.settings import Settings

Store = sessionmaker[Session]
Post = Callable[..., tuple[str, str]]
ASKED = [[{"role": "user", "content": "a?"}]]


def settings(**fields: Any) -> Settings:
    return Settings(_env_file=None, reward_patience_seconds=0.1, **fields)


def test_a_job_may_name_a_server_that_is_allowed(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    job_id, group_id = post(["How?"], reward={"url": reward.url, "model": "moody"})
    run_group(
        make_desk(reward_url="http://127.0.0.1:9", reward_urls=(reward.url,)),
        group_id,
    )
    (result,) = ended(store, job_id)
    assert (result.status, result.error) == ("succeeded", None)
    assert result.reward_model is not None
    assert result.reward_model.name == "moody"


def test_a_server_that_is_not_allowed_fails_the_prompts_and_is_not_asked(
    store: Store, post: Post, make_desk: DeskMaker, reward: Reward
) -> None:
    job_id, group_id = post(["Why not?"], reward={"url": reward.url, "model": "moody"})
    run_group(make_desk(reward_urls=("https://rm.example.com",)), group_id)
    (result,) = ended(store, job_id)
    assert result.status == "failed"
    assert result.error is not None
    assert "PRELOGIT_REWARD_URLS" in result.error
    assert reward.mood.calls("Why not?") == []


def test_a_tokenizer_that_is_not_allowed_is_not_loaded(tmp_path: Path) -> None:
    reward = RewardRef(url="http://rm", protocol="sglang", tokenizer=str(tmp_path / "none"))
    with pytest.raises(InputError, match="PRELOGIT_REWARD_TOKENIZERS"):
        reward_of(reward, settings(reward_urls=("http://rm",)))
    allowed = settings(reward_urls=("http://rm",), reward_tokenizers=(str(tmp_path),))
    with pytest.raises(ModelError, match="cannot be loaded"):  # there is none
        reward_of(reward, allowed)


async def test_the_key_goes_to_its_own_server_and_is_read_each_time(
    serve: Any, good: Any, tmp_path: Path
) -> None:
    file = tmp_path / "key"
    file.write_text("sesame")
    async with serve(lambda *_: good(1)) as server:
        keys = {"rm": {"url": server.url, "file": file}, "other": {"url": "http://x", "env": "X"}}
        made = settings(reward_urls=(server.url,), reward_keys=keys)
        reward = reward_of(RewardRef(url=server.url, key="rm"), made)
        await reward(ASKED, ["one"])
        file.write_text("open")
        await reward(ASKED, ["one"])
        assert [request.headers["authorization"] for request in server.seen] == [
            "Bearer sesame",
            "Bearer open",
        ]
        with pytest.raises(InputError, match="no key 'other' for that server"):
            reward_of(RewardRef(url=server.url, key="other"), made)


async def test_any_public_server_is_not_one_whose_name_leads_to_this_machine(
    serve: Any, good: Any
) -> None:
    async with serve(lambda *_: good(1)) as server:
        port = server.url.rpartition(":")[2]
        reward = reward_of(
            RewardRef(url=f"http://localtest.example:{port}"), settings(reward_urls=("*",))
        )
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr("socket.getaddrinfo", lambda *_, **__: [(2, 1, 6, "", ("127.0.0.1", 1))])
            with pytest.raises(RewardAnswerError, match="private network"):
                await reward(ASKED, ["one"])
        assert server.seen == []
