"""RE-Control: before its token is picked, each pre-logit climbs the value of what it will lead to.

    h_t <- h_t + rate * dV/dh (h_t)      so many steps, then y_t = argmax_j [W h_t + b]_j

V is a three-layer network that tells a response's reward from one pre-logit, standardised. With
a temperature the token is drawn by top-p instead, and the best of n is the answer.

Source: Kong et al., 2024, "Aligning Large Language Models with Representation Editing: A Control
Perspective", arXiv 2406.05954.
"""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from prelogit.core.errors import InputError
from prelogit.core.records import Iteration
from prelogit.search import one_round
from prelogit.search.one_round import OneRoundState
from prelogit.search.plan import (
    Ascend,
    Greedy,
    Info,
    Method,
    NoiseKey,
    Pick,
    Plan,
    Rollouts,
    Shape,
    TopP,
)
from prelogit.wire.params import REControl, TrainValue

Steered = REControl | TrainValue


def init(params: Steered, shape: Shape) -> OneRoundState:
    """Nothing decoded yet.

    Raises: InputError: the shape carries no value network.
    """
    if shape.value is None:
        raise InputError("RE-Control needs a value network: load one by its name", field="value")
    return one_round.init(params, shape)


def ask(state: OneRoundState, params: Steered) -> Plan | None:
    """All samples in one round."""
    if state.k >= params.rounds:
        return None
    shape = state.shape
    pick: Pick = Greedy()
    if params.temperature is not None:
        pick = TopP(params.temperature, params.top_p, NoiseKey(shape.seed, shape.prompt, 1))
    return Plan(params.samples, _control(shape, params), pick, shape.max_new_tokens)


def tell(
    state: OneRoundState, rollouts: Rollouts, rewards: Tensor, params: Steered
) -> tuple[OneRoundState, Info]:
    """Nothing is learned while decoding: every sample weighs the same."""
    return one_round.told(state), one_round.alike(len(rewards))


def restore(rows: Sequence[Iteration], params: Steered, shape: Shape) -> OneRoundState:
    """The state after the given rounds."""
    return init(params, shape)._replace(k=len(rows))


def target(state: OneRoundState, params: Steered) -> Plan | None:
    """One response drawn from softmax(W h + b) of pre-logits that have climbed, for its KL."""
    shape = state.shape
    key = NoiseKey(shape.seed, shape.prompt, params.rounds + 1)
    control = _control(shape, params)
    return Plan(1, control, TopP(1.0, 1.0, key), shape.max_new_tokens, measure_kl=True)


def warn(rows: Sequence[Iteration], params: Steered, shape: Shape) -> tuple[str, ...]:
    """Where the network tells nothing, what climbs it goes astray."""
    explained = None if shape.value is None else shape.value.explained
    if explained is None or explained > 0:
        return ()
    return (
        f"the value network tells nothing of rewards on prompts that were held out (R² {explained:.2f}): "
        "collect more prompts and samples, and train again",
    )


def _control(shape: Shape, params: Steered) -> Ascend:
    assert shape.value is not None  # noqa: S101 - init has looked
    return Ascend(shape.value, params.learning_rate, params.steps)


METHOD = Method(REControl, init, ask, tell, restore, target, warn)
# The network is trained before anything is asked; then the prompts are decoded on it.
TRAIN = METHOD._replace(params=TrainValue)
