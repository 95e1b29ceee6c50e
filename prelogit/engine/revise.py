"""Tokens drawn by noise in the shape of the model's uncertainty, and texts that are revised.

Let S be the nucleus of a step (the sample's temperature T, mass p), q its probabilities made to sum to one and
W_j the output layer's weight of token j. With v ~ N(0, I) the next token is

    argmax over S of  logit_j + s W_j.v,      s = pi/sqrt(3) T / sqrt(2 Var_q(W) / (1 - sum q^2))

where Var_q(W) = sum q |W|^2 - |sum q W|^2. Two tokens' scores then differ by noise as wide as the
logistic noise of sampling at temperature T (whose standard deviation is pi/sqrt(3) T), however far
apart the model has put their weights: s^2 is the variance that a pre-logit coordinate is given.
Isotropic noise of one variance is too wide where two tokens' weights are far apart, and reaches
tokens that the model would never say.

A text is kept by conditioning the noise: on its token winning, at places that are kept, and on its
losing, at places that are drawn anew. The distance of such noise from the prior is known,
KL = -log P(what it is conditioned on), with P taken for q. q is the limit of Gumbel noise;
Gaussian noise of the same width gives nearly the same.

Dimensions: R rows that revise, V vocabulary, K tokens of the widest nucleus (64 at most), M pairs of
a row and a token, d width of the pre-logits.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.core.memory import NUCLEUS, PAIRS
from prelogit.engine.head import Head
from prelogit.engine.pick import log_probabilities, nucleus
from prelogit.engine.work import Seat, names
from prelogit.noise import Rows, normal_rows
from prelogit.search.plan import Revise

_LOGISTIC = math.pi / math.sqrt(3.0)


class Drawn(NamedTuple):
    """One step of R rows, with what it says of the noise and of the distribution drawn from."""

    tokens: Tensor  # i64[R]
    free: Tensor  # bool[R]
    log_prior: Tensor  # f64[R]
    sigma2: Tensor  # f64[R], 0 where no noise decided
    log_ratio: Tensor  # f64[R]: log P(token) - log P_base(token)
    kl: Tensor  # f64[R]: KL(P || P_base)


def revised(
    head: Head,
    logits: Tensor,
    how: Revise,
    rows: Rows,
    temperature: Tensor,
    text: Tensor,
    keep: Tensor,
) -> Drawn:
    """One token for each row of plans that share mass and window.

    Args: logits: [R, V], without noise. rows: the names of the noise. temperature: f64[R].
          text: i64[R], -1: none. keep: bool[R].
    """
    found = nucleus(logits, temperature, how.top_p, widest=NUCLEUS)
    inside = torch.arange(found.ids.shape[1], device=logits.device) <= found.last
    inside &= (rows.step <= how.window)[:, None]
    inside[:, 0] = True  # past the window nothing but the most likely token
    ids, q = found.ids, found.probability * inside
    q = q / _total(q)[:, None]
    free = inside.sum(dim=-1) > 1
    hit = (ids == text[:, None]) & inside
    has = hit.any(dim=-1)
    stay, away = has & keep, has & ~keep & free
    allowed = torch.where(stay[:, None], hit, inside & ~(hit & away[:, None]))
    law = torch.where(allowed, q, 0.0)
    mass = _total(law)
    law = law / mass[:, None]
    value = logits.gather(1, ids).double()
    unsure = allowed.sum(dim=-1) > 1
    score = value.clone()
    sigma2 = torch.zeros(len(ids), dtype=torch.float64, device=ids.device)
    if bool(unsure.any()):
        which = unsure.nonzero()[:, 0]
        noise = normal_rows(Rows(*(name[which] for name in rows)), head.dim)
        lifted, variance = _shaped(
            head, ids[which], q[which], inside[which], noise, logits.shape[1]
        )
        scale2 = (_LOGISTIC * temperature[which]) ** 2 * (1.0 - _total(q[which] ** 2))
        sigma2[which] = scale2 / (2.0 * variance).clamp_min(1e-12)
        score[which] += sigma2[which].sqrt()[:, None] * lifted
    place = score.masked_fill(~allowed, -math.inf).argmax(dim=-1, keepdim=True)
    base = log_probabilities(logits, 1.0, ids)
    apart = torch.where(allowed, law.log() - base, 0.0)
    return Drawn(
        tokens=ids.gather(1, place)[:, 0],
        free=free,
        log_prior=torch.where(stay | away, mass.log(), 0.0),
        sigma2=sigma2,
        log_ratio=apart.gather(1, place)[:, 0],
        kl=_total(law * apart),
    )


def _shaped(
    head: Head, ids: Tensor, q: Tensor, inside: Tensor, noise: Tensor, vocabulary: int
) -> tuple[Tensor, Tensor]:
    """f64[R, K] W_j.v of the tokens inside, and f64[R] Var_q(W).

    Row by row in float64, so that the bits do not depend on the rows beside.
    """
    row, column = inside.nonzero(as_tuple=True)
    lifted = torch.zeros(ids.shape, dtype=torch.float64, device=ids.device)
    square = torch.zeros(len(ids), dtype=torch.float64, device=ids.device)
    mean = torch.zeros(len(ids), head.dim, dtype=torch.float64, device=ids.device)
    pairs = min(PAIRS, vocabulary)
    for first in range(0, len(row), pairs):
        r, c = row[first : first + pairs], column[first : first + pairs]
        weight = head.rows(ids[r, c]).double()
        lifted[r, c] = (weight * noise[r].double()).sum(dim=-1)
        share = q[r, c]
        square.index_add_(0, r, share * weight.square().sum(dim=-1))
        mean.index_add_(0, r, share[:, None] * weight)
    return lifted, square - mean.square().sum(dim=-1)


def _total(x: Tensor) -> Tensor:
    """f64[R]: sums over the nucleus, term after term.

    A row stands beside rows of any width; another order would give other bits.
    """
    return x.cumsum(dim=-1)[:, -1]


def revise(
    head: Head, logits: Tensor, seats: Sequence[Seat], spans: Sequence[slice], tokens: Tensor
) -> None:
    """Write the tokens of all seats that revise, and tell their plans what was seen.

    Args: logits: [R', V] of all seats. tokens: i64[R'], written to.
    """
    alike: dict[tuple[float, int], list[tuple[Revise, Seat, slice]]] = {}
    for seat, span in zip(seats, spans, strict=True):
        if isinstance(how := seat.work.plan.pick, Revise):
            alike.setdefault((how.top_p, how.window), []).append((how, seat, span))
    for members in alike.values():
        every = [row for _, _, span in members for row in range(span.start, span.stop)]
        place = torch.tensor(every, device=logits.device)
        whole = len(every) == len(logits)
        told = torch.cat([_parent(how, seat) for how, seat, _ in members]).to(logits.device)
        heat = torch.cat([how.temperature[seat.group.sample] for how, seat, _ in members])
        drawn = revised(
            head,
            logits if whole else logits[place],
            members[0][0],
            names([(how.key, seat) for how, seat, _ in members], logits.device),
            heat.to(logits.device),
            told[:, 0],
            told[:, 1].bool(),
        )
        tokens[place] = drawn.tokens
        seen = Drawn(*(one.cpu() for one in drawn))
        first = 0
        for _, seat, span in members:
            m = span.stop - span.start
            _note(seat, Drawn(*(one[first : first + m] for one in seen)))
            first += m


def _parent(how: Revise, seat: Seat) -> Tensor:
    """i64[m, 2]: token and whether it is kept, for the next step of the seat's rows."""
    at = (seat.group.sample, seat.group.decoded)
    return torch.stack([how.text[at], how.keep[at].long()], dim=1)


def _note(seat: Seat, seen: Drawn) -> None:
    """Tell the seat's plan; all on CPU."""
    work, samples, place = seat.work, seat.group.sample, seat.group.decoded
    if work.revised is not None:
        work.revised.free[samples, place] = seen.free
        work.revised.sigma2[samples, place] = seen.sigma2
        work.revised.log_prior[samples] += seen.log_prior
    work.log_ratio[samples] += seen.log_ratio
    work.kl[samples] += seen.kl
