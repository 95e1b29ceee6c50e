"""The next token of every live row: noise, logits, pick. One call of each for all plans.

Dimensions: R live rows of all seats, d width of the pre-logits, V vocabulary.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from prelogit.engine import pick
from prelogit.engine.climb import climbed, keep_states
from prelogit.engine.graphs.drawing import drawn_static, takes
from prelogit.engine.graphs.static_draw import StaticDraw
from prelogit.engine.head import Head
from prelogit.engine.offer import Offer, top_k
from prelogit.engine.revise import revise
from prelogit.engine.work import Seat, names
from prelogit.noise import normal_rows, uniform_rows
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Revise, TopK, TopP


class Drawn(NamedTuple):
    """What one call drew; read the tokens before the next one.

    offers: by the seat's place, where the method picks; the tokens of its rows mean nothing.
    """

    tokens: Tensor  # i64[R], rows in the order of the seats
    offers: dict[int, Offer]


def draw(head: Head, seats: Sequence[Seat], static: StaticDraw | None = None) -> Drawn:
    """The next token of each row.

    Args: static: does noise, logits and argmax in one replay, in the steps that it takes.
    """
    rows = _spans(seats)
    hidden = torch.cat([seat.group.hidden for seat in seats])
    keep_states(head, hidden, seats, rows)
    if static is not None and takes(static, seats):
        logits, greedy = drawn_static(static, hidden, seats)
        return Drawn(_pick(head, logits, seats, rows, greedy), _offers(logits, seats, rows))
    added = climbed(head, hidden, seats, rows, _added(seats, rows, head))
    logits = head.logits(hidden, added)
    tokens = _pick(head, logits, seats, rows)
    for seat, span in zip(seats, rows, strict=True):
        if seat.work.plan.measure_kl:
            _measure(head, seat, logits[span], tokens[span])
    return Drawn(tokens, _offers(logits, seats, rows))


def _spans(seats: Sequence[Seat]) -> list[slice]:
    """Where the rows of each seat stand among all."""
    spans, first = [], 0
    for seat in seats:
        spans.append(slice(first, first + seat.group.live))
        first += seat.group.live
    return spans


def _added(seats: Sequence[Seat], spans: Sequence[slice], head: Head) -> Tensor | None:
    """f32[R, d]: v_t = u_t + sigma * eps of every row, zero where nothing is added; None: nowhere.

    Scaling and moving are two roundings, as anyone who checks the noise would write them;
    a fused multiply-add would give other bits.
    """
    noisy: list[tuple[NoiseKey, Seat]] = []
    sigma: list[float] = []
    means, places = [], []
    added = None
    for seat, span in zip(seats, spans, strict=True):
        work, m = seat.work, seat.group.live
        control, step = work.plan.control, seat.group.decoded + 1
        if not isinstance(control, Gaussian) or work.mean is None or step > len(work.mean):
            continue
        if added is None:
            added = torch.zeros(spans[-1].stop, head.dim, device=head.device)
        u = work.mean[step - 1].expand(m, -1)
        if control.sigma_at(step) == 0.0:
            added[span] = u
            continue
        noisy.append((control.key, seat))
        sigma += [control.sigma] * m
        means.append(u)
        places.append(span)
    if added is None or not noisy:
        return added
    eps = normal_rows(names(noisy, head.device), head.dim)
    scale = torch.tensor(sigma, dtype=torch.float32).to(head.device)[:, None]
    u = torch.cat(means)
    v = u + scale * eps
    _gather_dot(noisy, u, v)
    if len(v) == len(added):
        return v
    first = 0
    for span in places:
        m = span.stop - span.start
        added[span] = v[first : first + m]
        first += m
    return added


def _gather_dot(noisy: Sequence[tuple[NoiseKey, Seat]], u: Tensor, v: Tensor) -> None:
    """Add u . v of this step to the plans that are told of it."""
    if not any(seat.work.moved for _, seat in noisy):
        return  # u is zero everywhere
    dot = (v.double() * u.double()).sum(dim=-1).cpu()
    first = 0
    for _, seat in noisy:
        m = seat.group.live
        if seat.work.moved:
            seat.work.dot[seat.group.sample] += dot[first : first + m]
        first += m


def _pick(
    head: Head,
    logits: Tensor,
    seats: Sequence[Seat],
    spans: Sequence[slice],
    greedy: Tensor | None = None,
) -> Tensor:
    """i64[R]: greedy, or sampled where the plan says so; one call for all that sample alike.

    Args: greedy: the most likely tokens, where they are known; written over where a row samples.
    """
    alike: dict[tuple[float, float], list[tuple[TopP, Seat, slice]]] = {}
    for seat, span in zip(seats, spans, strict=True):
        match seat.work.plan.pick:
            case TopP() as how:
                alike.setdefault((how.temperature, how.top_p), []).append((how, seat, span))
            case Greedy() | Revise() | TopK():
                pass
    if greedy is not None:
        tokens = greedy
    elif any(isinstance(seat.work.plan.pick, Greedy) for seat in seats):
        tokens = pick.greedy(logits)
    else:
        tokens = torch.empty(len(logits), dtype=torch.long, device=logits.device)
    for (temperature, mass), members in alike.items():
        uniform = uniform_rows(names([(how.key, seat) for how, seat, _ in members], logits.device))
        rows = [row for _, _, span in members for row in range(span.start, span.stop)]
        if rows[-1] - rows[0] == len(rows) - 1:  # they stand together: no copy of the logits
            place: slice | Tensor = slice(rows[0], rows[-1] + 1)
        else:
            place = torch.tensor(rows, device=logits.device)
        tokens[place] = pick.top_p(logits[place], temperature, mass, uniform)
    revise(head, logits, seats, spans, tokens)
    return tokens


def _offers(logits: Tensor, seats: Sequence[Seat], spans: Sequence[slice]) -> dict[int, Offer]:
    """The candidates of the seats whose method picks."""
    return {
        place: top_k(logits[span], seat.work.plan.pick.k)
        for place, (seat, span) in enumerate(zip(seats, spans, strict=True))
        if isinstance(seat.work.plan.pick, TopK)
    }


def _measure(head: Head, seat: Seat, logits: Tensor, tokens: Tensor) -> None:
    """Both KL estimators of appendix C.6, along the tokens that were drawn."""
    work, samples = seat.work, seat.group.sample
    steered = logits.double().log_softmax(dim=-1)
    base = head.logits(seat.group.hidden).double().log_softmax(dim=-1)
    apart = steered - base
    work.log_ratio[samples] += apart.gather(1, tokens[:, None])[:, 0].cpu()
    work.kl[samples] += (steered.exp() * apart).sum(dim=-1).cpu()
