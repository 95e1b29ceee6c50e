"""What a method asks of the engine, and what the engine hands back.

Nothing here assumes that model and method share a process: plans carry numbers and keys,
rollouts carry CPU tensors.

Dimensions: n samples, T decoded tokens at most, tau = window, d = width of the pre-logits.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from torch import Tensor

from prelogit.core.records import Iteration, Population
from prelogit.value.network import ValueNet


class NoiseKey(NamedTuple):
    """Names the noise of one round: with sample and step it picks each number of it."""

    seed: int
    prompt: str
    iteration: int  # from 1


class SearchId(NamedTuple):
    """One search of one prompt: arm 0 is the job's method, 1 and up its baselines."""

    prompt: str
    arm: int = 0


class Gaussian(NamedTuple):
    """Pre-logit noise: v_t = mean_t + sigma * standard_normal(key, sample, t), for t <= tau.

    At the first ``frozen`` steps v_t is the mean alone; the rollouts' u . v leaves them out.
    """

    mean: Tensor  # f32[tau, d] on CPU; U
    sigma: float  # >= 0; 0 adds the mean alone
    key: NoiseKey
    frozen: int = 0

    def sigma_at(self, step: int) -> float:
        """Of the noise at a step, from 1."""
        return 0.0 if step <= self.frozen else self.sigma


class Ascend(NamedTuple):
    """Each pre-logit climbs its value: so many steps h <- h + rate * dV/dh (RE-Control)."""

    value: ValueNet
    rate: float
    steps: int


class Greedy(NamedTuple):
    """The most likely token."""


class TopP(NamedTuple):
    """Nucleus sampling; temperature first, then the smallest set of mass >= top_p."""

    temperature: float
    top_p: float
    key: NoiseKey


class Revise(NamedTuple):
    """Noise in the shape of the model's uncertainty, and texts that are kept but for some places.

    The token is the one of the nucleus that noise on the pre-logit lifts highest, for t <= window
    (``engine/revise.py``). Where ``text`` has a token, the noise is conditioned on it: on its
    winning where ``keep`` says so and the nucleus has it, else on its losing where the nucleus has
    another. Greedy after the window.
    """

    temperature: Tensor  # f64[n] on CPU, > 0
    top_p: float  # < 1
    key: NoiseKey
    window: int
    text: Tensor  # i64[n, T] on CPU; -1: none
    keep: Tensor  # bool[n, T]


class TopK(NamedTuple):
    """The method picks, of the k most likely tokens: the row waits for its answer."""

    k: int


Control = Gaussian | Ascend | None
Pick = Greedy | TopP | Revise | TopK


class Plan(NamedTuple):
    """n samples of one prompt.

    ``measure_kl`` also asks for both KL estimators of App. C.6, ``keep_hidden`` for every
    pre-logit, as the model makes it.
    """

    samples: int
    control: Control
    pick: Pick
    max_new_tokens: int
    measure_kl: bool = False
    keep_hidden: bool = False


class Revised(NamedTuple):
    """What a plan of ``Revise`` also tells; zeros after a sample's end."""

    free: Tensor  # bool[n, T]: the nucleus had more than one token
    sigma2: Tensor  # f64[n, T]: variance of the noise of a pre-logit's coordinate; 0 where it had no say
    log_prior: Tensor  # f64[n]: log probability of all that the noise was conditioned on


class Rollouts(NamedTuple):
    """What was decoded, sample by sample."""

    token_ids: Tensor  # i64[n, T], -1 after the end
    length: Tensor  # i32[n], the end token counted
    stopped: Tensor  # bool[n]: ended by an end token (else by the limit)
    u_dot_noise: Tensor  # f64[n]: sum over all steps up to tau of u_t . v_t, ended samples too
    decode_seconds: float  # prefill, and this plan's share (by rows) of the steps it took part in
    live_seconds: float  # wall time of those steps, shared with other plans
    # f64[n]: sum_t log P(y_t) - log P_base(y_t); with measure_kl, or where the pick tells it
    log_ratio: Tensor | None = None
    kl: Tensor | None = None  # f64[n]: sum_t KL(P || P_base), likewise
    hidden: Tensor | None = None  # [n, T, d] in the model's dtype, with keep_hidden
    revised: Revised | None = None


class Question(NamedTuple):
    """Which token comes next? Asked of the method for m rows of its plan, which wait. All on CPU."""

    number: int  # names it to the engine that asked
    sample: Tensor  # i64[m]: the sample that each row is
    step: int  # the place of the token that is asked for, from 1
    before: Tensor  # i64[m, step - 1]: the tokens so far
    token_ids: Tensor  # i64[m, k]: the candidates, the most likely first
    log_p: Tensor  # f64[m, k]: their log-probabilities under the model, at temperature 1
    tokens: int  # decoded of the whole plan so far
    decode_seconds: float  # of the whole plan so far


class Choice(NamedTuple):
    """The answer: each row's token, and how far from the model the rows' distributions are."""

    token_ids: Tensor  # i64[m]; -1 ends a row where it stands
    log_ratio: Tensor  # f64[m]: log P(token) - log P_base(token)
    kl: Tensor  # f64[m]: KL(P || P_base) of this step


class Info(NamedTuple):
    """What a round's update says of itself; goes into the trace."""

    weights: tuple[float, ...]
    ess: float | None = None
    lambda_: float | None = None
    sigma2: float | None = None
    kl_gaussian: float | None = None
    kl_token_sampled: float | None = None
    kl_token_exact: float | None = None
    step: float | None = None
    chosen: int | None = None  # the sample that is the answer; None: the best is
    final: bool = False
    population: Population | None = None


class Shape(NamedTuple):
    """What a method must know of the model and the job: tau tokens of width d, and the limit T."""

    window: int  # tau, resolved: at most max_new_tokens
    dim: int  # d
    max_new_tokens: int
    seed: int
    prompt: str
    value: ValueNet | None = None  # the network that the method's parameters name
    sigma2: float | None = (
        None  # sigma2 "auto" of isotropic noise (engine/flips.py), where it is asked for
    )


class Method(NamedTuple):
    """A method as pure functions over its own small state.

    init(params, shape) -> state;  ask(state, params) -> Plan, or None when done;
    tell(state, rollouts, rewards f64[n], params) -> (state, Info);
    restore(rows, params, shape) -> the state after those rows, without a forward pass;
    target(state, params) -> Plan of one draw from the aligned model (for its KL), or None;
    warn(rows, params, shape) -> what a user should know of the finished search;
    choose(state, question, rewards f64[m, k], params) -> Choice, where a plan's pick is ``TopK``:
    the rewards are those of the texts that the candidates would make.
    """

    params: type[Any]
    init: Callable[[Any, Shape], Any]
    ask: Callable[[Any, Any], Plan | None]
    tell: Callable[[Any, Rollouts, Tensor, Any], tuple[Any, Info]]
    restore: Callable[[Sequence[Iteration], Any, Shape], Any]
    target: Callable[[Any, Any], Plan | None]
    warn: Callable[[Sequence[Iteration], Any, Shape], tuple[str, ...]]
    choose: Callable[[Any, Question, Tensor, Any], Choice] | None = None
