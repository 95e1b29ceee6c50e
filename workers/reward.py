"""The reward of a job: one of this installation's service, or a server that the job names."""

from __future__ import annotations

from functools import partial
from typing import Any

from prelogit.egress.urls import ANY
from prelogit.rewards.allowed import key_of, refuse_unless_allowed, secret
from prelogit.rewards.allowed_tokenizers import refuse_tokenizer_unless_allowed
from prelogit.rewards.load import load_reward
from prelogit.rewards.service import ServiceReward
from prelogit.telemetry.outgoing import outgoing_headers
from prelogit.wire.reward import RewardRef
from workers.settings import Settings


def reward_of(reward: RewardRef, settings: Settings) -> Any:
    """A ``Score`` that is also a context manager, which keeps connections open.

    Raises: InputError: this worker may not use the server or the tokenizer, or cannot read the key.
    """
    patience = {
        "timeout_seconds": settings.reward_timeout_seconds,
        "patience_seconds": settings.reward_patience_seconds,
    }
    if reward.url is None:
        return ServiceReward(
            settings.reward_url,
            reward.hosted,
            headers=outgoing_headers,
            **patience,  # type: ignore[arg-type]
        )
    entry = refuse_unless_allowed(reward.url, settings.reward_urls)
    if reward.tokenizer is not None:
        refuse_tokenizer_unless_allowed(reward.tokenizer, settings.reward_tokenizers)
    options = {**reward.options, **patience, "public_only": entry == ANY}
    if reward.protocol in (None, "prelogit") and reward.model is not None:
        options["name"] = options.pop("model")  # what our own service calls it
    if reward.key is not None:
        key = key_of(reward.key, reward.url, settings.reward_keys)
        secret(reward.key, key)  # what cannot be read is said before anything is asked
        options["key"] = partial(secret, reward.key, key)
    return load_reward(reward.url, **options)
