"""ARGS: alignment as reward-guided search (arXiv 2402.01694, section 2).

At each step the k most likely tokens v, the set V(k), are appended to the text so far and the
reward scores the texts:

    s(v) = log p(v | x, y_<t) + w r(x, [y_<t, v])                     v in V(k)
    greedy:      y_t = argmax_v s(v)
    stochastic:  y_t ~ softmax_v( s(v) / temperature )

The paper writes LM(v | x, y_<t), "the model's output for v", and its code adds logits. Here it is
the log-probability: a step's logits are those plus one number, which changes neither the argmax nor
the softmax.

What the published code leaves out: a candidate that ends the answer makes the finished text, is
scored as that, and ends its path when it is picked. The reward reads text, so it need not share the
model's tokenizer.

Dimensions: m rows, one of each path that has not ended; k candidates.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from prelogit.core.records import Iteration
from prelogit.noise import rows_of, uniform_rows
from prelogit.search import one_round
from prelogit.search.one_round import OneRoundState
from prelogit.search.plan import Choice, Info, Method, Plan, Question, Rollouts, Shape, TopK
from prelogit.wire.params import ARGS


def ask(state: OneRoundState, params: ARGS) -> Plan | None:
    """All paths at once; each token of theirs is asked for."""
    if state.k >= params.rounds:
        return None
    return Plan(params.samples, None, TopK(params.k), state.shape.max_new_tokens)


def scores(log_p: Tensor, rewards: Tensor, weight: float) -> Tensor:
    """s(v), less its largest of each row: only differences count.

    Args:    log_p: f64[m, k], of the candidates. rewards: f64[m, k], of the texts with them.
    Returns: f64[m, k], at most 0. However large weight and rewards are, the best is 0.
    Source:  arXiv 2402.01694, section 2.1.
    """
    s = log_p + weight * (rewards - rewards.amax(dim=-1, keepdim=True))
    return s - s.amax(dim=-1, keepdim=True)


def choose(state: OneRoundState, question: Question, rewards: Tensor, params: ARGS) -> Choice:
    """The next token of every row, by the scores of its candidates.

    With it, how far the step's distribution P is from the model's (P_base, over the whole
    vocabulary, at temperature 1): log P(y_t) - log P_base(y_t) and KL(P || P_base). P is the softmax
    over the k, or for greedy the point mass on the one that is taken; then both are -log p(y_t). The
    other way round, KL(P_base || P), is infinite: P is 0 outside V(k).

    Args:    rewards: f64[m, k], finite.
    Source:  arXiv 2402.01694, section 2.2.
    """
    s, log_p = scores(question.log_p, rewards, params.weight), question.log_p
    if params.mode == "greedy":
        place = s.argmax(dim=-1, keepdim=True)  # of equals the most likely
        log_ratio = kl = -log_p.gather(1, place)[:, 0]
    else:
        p = torch.softmax(s / params.temperature, dim=-1)
        place = _drawn(p, _uniform(state.shape, question))
        apart = torch.log(p) - log_p
        log_ratio = apart.gather(1, place)[:, 0]
        kl = torch.where(p > 0, p * apart, 0.0).sum(dim=-1)
    return Choice(question.token_ids.gather(1, place)[:, 0], log_ratio, kl)


def tell(
    state: OneRoundState, rollouts: Rollouts, rewards: Tensor, params: ARGS
) -> tuple[OneRoundState, Info]:
    """Nothing is learned: every path weighs the same, and the best is the answer."""
    return one_round.told(state), one_round.alike(len(rewards))


def warn(rows: Sequence[Iteration], params: ARGS, shape: Shape) -> tuple[str, ...]:
    """Where there is no KL, the reason."""
    guided = rows[-1].guided if rows else None
    if guided is None or None not in (guided.token_sampled, guided.token_exact):
        return ()
    return (
        "the token KL is infinite or undefined: a token was picked that the model gives no chance",
    )


def _uniform(shape: Shape, question: Question) -> Tensor:
    """f64[m]: one number a path and step, by its name alone."""
    step = torch.full_like(question.sample, question.step)
    return uniform_rows(
        rows_of(
            seed=shape.seed, prompt=shape.prompt, iteration=1, sample=question.sample, step=step
        )
    )


def _drawn(p: Tensor, uniform: Tensor) -> Tensor:
    """i64[m, 1]: the first place of each row whose cumulative mass exceeds the uniform's share."""
    total = p.cumsum(dim=-1)
    place = torch.searchsorted(total, uniform[:, None] * total[:, -1:], right=True)
    # The share can round up to the whole; places without mass are at no end of it.
    last = p.shape[-1] - 1 - (p > 0).flip(-1).int().argmax(dim=-1, keepdim=True)
    return torch.minimum(place, last)


METHOD = Method(
    ARGS, one_round.init, ask, tell, one_round.restore, one_round.no_target, warn, choose
)
