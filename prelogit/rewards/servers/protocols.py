"""Every protocol that a reward server may speak, by its name."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from prelogit.rewards.protocol import Score
from prelogit.rewards.servers import (
    infinity,
    judge,
    openrlhf,
    sglang,
    tei,
    vllm_classify,
    vllm_pooling,
    vllm_score,
)
from prelogit.rewards.servers.reward import ServerReward
from prelogit.rewards.service import ServiceReward

SERVERS = (vllm_classify, vllm_pooling, vllm_score, sglang, tei, openrlhf, infinity, judge)

PROTOCOLS: dict[str, Callable[..., Score]] = {
    "prelogit": ServiceReward,
    **{server.PROTOCOL.name: partial(ServerReward, server.PROTOCOL) for server in SERVERS},
}
"""(url, **options) -> Score"""
