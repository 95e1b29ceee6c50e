"""From the specification of a reward to one that scores."""

from __future__ import annotations

from collections.abc import Mapping
from typing import assert_never

from prelogit.core.trust import Trust
from prelogit.rewards.hosted.derived import locked
from prelogit.rewards.hosted.length_penalty import with_length_penalty
from prelogit.rewards.hosted.reward import HostedReward
from reward_service.memory import Memory, remembering
from reward_service.specs import (
    ClassifierSpec,
    EmbeddingSpec,
    EnsembleSpec,
    FunctionSpec,
    HeadSpec,
    Loaded,
    SafetySpec,
    Spec,
    YesNoSpec,
)

TRUSTS = ("pickle_weights", "trust_remote_code")
WITHOUT_TORCH = (FunctionSpec, SafetySpec, EnsembleSpec)
# A function may read what its source does not tell: a file, the clock. An ensemble's members remember.
NOT_REMEMBERED = (FunctionSpec, EnsembleSpec)


def load(
    spec: Spec,
    threads: int | None,
    members: Mapping[str, HostedReward],
    memory: Memory | None = None,
) -> HostedReward:
    """The reward of a specification; imports torch only for those that need it.

    Args:   threads: that torch uses on CPU, None for its own choice.
            members: those of an ensemble, by name. memory: where scores are kept, None for no.
    Raises: PrelogitError: it cannot be loaded; names the cure.
    """
    if threads is not None and not isinstance(spec, WITHOUT_TORCH):
        import torch

        torch.set_num_threads(threads)
    hosted = _load(spec, members)
    if spec.length_penalty is not None:
        hosted = with_length_penalty(hosted, **spec.length_penalty.model_dump())
    if memory is not None and not isinstance(spec, NOT_REMEMBERED):
        hosted = remembering(hosted, memory)
    return locked(hosted)  # an ensemble asks its members from a thread of its own


def _load(spec: Spec, members: Mapping[str, HostedReward]) -> HostedReward:
    options = spec.model_dump(exclude={"kind", "length_penalty", *TRUSTS})
    if isinstance(spec, Loaded):
        options["trust"] = Trust(spec.pickle_weights, spec.trust_remote_code)
    match spec:
        case EmbeddingSpec():
            from prelogit.rewards.hosted.embedding import load_embedding

            return load_embedding(**options)
        case ClassifierSpec():
            from prelogit.rewards.hosted.classifier import load_classifier

            return load_classifier(**options)
        case HeadSpec():
            from prelogit.rewards.hosted.head import load_head

            return load_head(**options)
        case YesNoSpec():
            from prelogit.rewards.hosted.yes_no import load_yes_no

            return load_yes_no(**options)
        case SafetySpec():
            from prelogit.rewards.hosted.safety import load_safety

            return load_safety(**options)
        case FunctionSpec():
            from prelogit.rewards.hosted.function import load_function

            return load_function(**options)
        case EnsembleSpec():
            from prelogit.rewards.hosted.ensemble import make_ensemble

            options["members"] = [(members[name], weight) for name, weight in spec.members.items()]
            return make_ensemble(**options)
        case _:
            assert_never(spec)
