"""Whether a job may use the reward that it names."""

from __future__ import annotations

from collections.abc import Iterator

from api.catalog.rewards import RewardCatalog
from api.fields import nearest
from api.settings import Settings
from prelogit.core.errors import InputError, RewardUnavailableError
from prelogit.rewards.allowed import key_of, refuse_unless_allowed
from prelogit.rewards.allowed_tokenizers import refuse_tokenizer_unless_allowed
from prelogit.wire.problem import FieldProblem
from prelogit.wire.reward import RewardRef


def reward_problems(
    field: str, reward: RewardRef, settings: Settings, rewards: RewardCatalog
) -> Iterator[FieldProblem]:
    """What is wrong with a reward of a request; ``field`` is where it stands there."""
    if reward.url is None:
        yield from _hosted(field, reward.hosted, rewards)
        return
    try:
        refuse_unless_allowed(reward.url, settings.reward_urls)
        if reward.key is not None:
            key_of(reward.key, reward.url, settings.reward_keys)
        if reward.tokenizer is not None:
            refuse_tokenizer_unless_allowed(reward.tokenizer, settings.reward_tokenizers)
    except InputError as error:
        part = (error.field or "").rpartition(".")[2]
        yield FieldProblem(field=f"{field}.{part}", message=str(error))


def _hosted(field: str, name: str, rewards: RewardCatalog) -> Iterator[FieldProblem]:
    try:
        known = [reward.name for reward in rewards.listing()]
    except RewardUnavailableError:
        # The job waits for the service to come back; the worker finds out then.
        return
    if name not in known:
        near = nearest(name, known)
        hint = f"; did you mean {near!r}?" if near else ""
        yield FieldProblem(
            field=f"{field}.name",
            message=f"{name!r} is not offered by this installation{hint}",
            allowed=known,
        )
