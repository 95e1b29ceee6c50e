"""Answers of reward servers that are none: the worker's side says so, or takes finite numbers."""

from __future__ import annotations

import asyncio
import math
from typing import Any

from hypothesis import given, seed
from hypothesis import strategies as st

from prelogit.core.errors import PrelogitError
from prelogit.rewards.load import load_reward
from tests.promises.bad_input.answers import STATUSES, TYPES, Saying, saying_server
from tests.promises.bad_input.bodies import written
from tests.promises.bad_input.generated import generated
from tests.promises.bad_input.leaks import TRACES
from tests.promises.bad_input.tally import Tally
from tests.promises.bad_input.wrong import broken_bytes, mutations

# By protocol: how the reward is loaded, and an answer for one response.
PROTOCOLS: dict[str, tuple[dict[str, Any], Any]] = {
    "prelogit": ({}, {"scores": [1.5], "reward": "a", "fingerprint": "f", "tokens": 3}),
    "vllm-classify": ({"text": "plain"}, {"data": [{"index": 0, "probs": [0.5], "num_classes": 1}]}),
    "vllm-pooling": ({"text": "plain"}, {"data": [{"index": 0, "data": [0.5]}]}),
    "vllm-score": ({"text": "plain"}, {"data": [{"index": 0, "score": 0.5}]}),
    "sglang": ({"text": "plain"}, [{"embedding": [0.5], "meta_info": {"prompt_tokens": 3}}]),
    "tei": ({"text": "plain"}, [[{"score": 0.5, "label": "a"}]]),
    "openrlhf": ({"text": "plain"}, {"rewards": [0.5]}),
    "infinity": ({}, {"results": [{"index": 0, "relevance_score": 0.5}]}),
    "judge": ({"model": "m"}, {"choices": [{"message": {"content": "[[7]]"}}]}),
}  # fmt: skip
ASKED: Any = [[{"role": "user", "content": "a"}]]


def run(*, cases: int, begin: int) -> Tally:
    """So many answers in all. ``begin``: the seed."""
    tally = Tally("answers of reward servers")
    with saying_server() as (url, saying), asyncio.Runner() as runner:
        for protocol in PROTOCOLS:
            _each(protocol, url, saying, runner, tally, max(1, cases // len(PROTOCOLS)), begin)
    return tally


def _each(
    protocol: str, url: str, saying: Saying, runner: asyncio.Runner, tally: Tally, cases: int, begin: int
) -> None:  # fmt: skip
    options, good = PROTOCOLS[protocol]
    contents = st.one_of(
        mutations(good).map(lambda one: written(one.value)),
        broken_bytes(written(good)),
        st.just(written(good)),
        st.just(b"[" * 100_000),
    )

    @seed(begin)
    @generated(cases)
    @given(contents, st.sampled_from(STATUSES), st.sampled_from(TYPES))
    def one(content: bytes, status: int, kind: str) -> None:
        saying.content, saying.status, saying.kind = content, status, kind
        seen = f"{status} {kind} {content[:200]!r}"

        async def score() -> list[float]:
            made: Any = load_reward(url, protocol=protocol, patience_seconds=0.001, **options)
            async with made as reward:
                found: list[float] = (await reward(ASKED, ["b"])).rewards.tolist()
            return found

        try:
            rewards = runner.run(score())
        except PrelogitError as error:
            tally.case(f"{protocol}: {type(error).__name__}")
            if TRACES.search(str(error)):
                tally.breach(f"{protocol}: a stack trace is told", seen)
        except Exception as error:  # noqa: BLE001 - that is what is looked for
            tally.case(f"{protocol}: {type(error).__name__}")
            tally.breach(f"{protocol}: {type(error).__name__}", f"{seen}: {error!r}")
        else:
            tally.case(f"{protocol}: taken")
            if len(rewards) != 1 or not math.isfinite(rewards[0]):
                tally.breach(f"{protocol}: it is no finite number", f"{seen}: {rewards}")

    one()
