"""Coherence by the packaged embeddings, the real ones."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any, NamedTuple

import pytest

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted import coherence as room
from prelogit.rewards.hosted.coherence import packaged_coherence
from prelogit.rewards.hosted.embedding import embed, load_embedding, packaged_embedder


class Watched(NamedTuple):
    """A tokenizer whose calls are looked at."""

    read: Callable[..., Any]
    pad_token_id: int

    def __call__(self, texts: list[str], **options: Any) -> Any:
        return self.read(texts, **options)


QUESTION = [
    {"role": "system", "content": "You are a pirate."},
    {"role": "user", "content": "How do I make tea?"},
]


@pytest.fixture(scope="module", autouse=True)
def _loaded_here() -> Iterator[None]:
    yield
    packaged_embedder.cache_clear()


def test_it_is_a_tenth_of_the_reward_relevance() -> None:
    texts = ["Boil water, then steep the tea.", "Football is played by two teams."]
    near, far = (packaged_coherence(QUESTION, text) for text in texts)
    assert near is not None
    assert far is not None
    assert near > far + 0.3
    scores = load_embedding().score([QUESTION] * 2, texts).scores
    assert scores == pytest.approx([10 * near, 10 * far], abs=1e-5)


@pytest.mark.parametrize("empty", ["", "  \n\t"])
def test_an_empty_text_has_none(empty: str) -> None:
    assert packaged_coherence(QUESTION, empty) is None
    assert packaged_coherence([{"role": "user", "content": empty}], "tea") is None
    assert packaged_coherence([], "tea") is None


@pytest.mark.parametrize("error", [ModelError("not installed"), ZeroDivisionError("a bug")])
def test_without_the_model_there_is_no_number_and_no_error(
    monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    def missing() -> None:
        raise error

    monkeypatch.setattr(room, "packaged_embedder", missing)
    assert packaged_coherence(QUESTION, "tea") is None


def test_the_reward_of_the_same_process_shares_the_model() -> None:
    before = packaged_embedder.cache_info()
    load_embedding()
    packaged_coherence(QUESTION, "tea")
    after = packaged_embedder.cache_info()
    assert after.currsize == 1
    assert after.hits >= before.hits + 1


def test_two_threads_never_use_the_tokenizer_at_the_same_time() -> None:
    """It is told how to cut before each call, and would forget it in the middle of another."""
    embedder = packaged_embedder()
    busy, met = threading.Lock(), []

    def read(texts: list[str], **options: Any) -> Any:
        free = busy.acquire(blocking=False)
        met.append(not free)
        rows = embedder.tokenizer(texts, **options)
        time.sleep(0.002)  # lets the others come
        if free:
            busy.release()
        return rows

    watched = embedder._replace(tokenizer=Watched(read, embedder.tokenizer.pad_token_id))
    with ThreadPoolExecutor(4) as pool:
        found = [pool.submit(embed, watched, ["tea", "water"]) for _ in range(8)]
        assert all(one.result().tokens == [3, 3] for one in found)
    assert not any(met)
