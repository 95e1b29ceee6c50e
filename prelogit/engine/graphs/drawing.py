"""Seats drawn from by the captured function: which steps it takes, and what it is fed.

Dimensions: R live rows of all seats, d width of the pre-logits, V vocabulary.
"""

from __future__ import annotations

import warnings
from collections.abc import Sequence

import torch
from torch import Tensor

from prelogit.engine.graphs.static_draw import Drawn, StaticDraw
from prelogit.engine.head import Head
from prelogit.engine.work import Seat, names
from prelogit.noise import Rows
from prelogit.search.plan import Gaussian, Greedy, NoiseKey

_NOBODY = NoiseKey(0, "", 0)  # names noise that is multiplied by zero


def takes(static: StaticDraw, seats: Sequence[Seat]) -> bool:
    """Whether this step is one for the captured function.

    Not where a plan measures KL, which needs the logits without noise too, or is controlled in
    another way than by noise; nor where all rows sample without noise, for nothing is saved then.
    """
    plans = [seat.work.plan for seat in seats]
    return (
        not static.graphs.failed
        and all(plan.control is None or isinstance(plan.control, Gaussian) for plan in plans)
        and not any(plan.measure_kl for plan in plans)
        and any(plan.control is not None or isinstance(plan.pick, Greedy) for plan in plans)
    )


def drawn_static(
    static: StaticDraw, hidden: Tensor, seats: Sequence[Seat]
) -> tuple[Tensor, Tensor]:
    """[R, V] steered logits and i64[R] their most likely tokens; adds u . v to the plans told of it.

    Both are views of memory that the next step writes over.

    Args: hidden: [R, d], rows in the order of the seats.
    """
    means: list[Tensor] = []
    sigma: list[float] = []
    keys: list[tuple[NoiseKey, Seat]] = []
    told: list[tuple[Seat, slice]] = []
    zero = torch.zeros(1, hidden.shape[1], device=hidden.device)
    for seat in seats:
        work, m = seat.work, seat.group.live
        control, step = work.plan.control, seat.group.decoded + 1
        first = len(sigma)
        if not isinstance(control, Gaussian) or work.mean is None or step > len(work.mean):
            means.append(zero.expand(m, -1))
            sigma += [0.0] * m
            keys.append((_NOBODY, seat))
            continue
        means.append(work.mean[step - 1].expand(m, -1))
        sigma += [control.sigma_at(step)] * m
        keys.append((control.key, seat))
        if work.moved and control.sigma_at(step) != 0.0:
            told.append((seat, slice(first, first + m)))
    scale = torch.tensor(sigma, dtype=torch.float32).to(hidden.device)
    drawn = static(hidden, torch.cat(means), scale, names(keys, hidden.device))
    if told:
        dot = drawn.dot.cpu()
        for seat, span in told:
            seat.work.dot[seat.group.sample] += dot[span]
    return drawn.logits, drawn.tokens


@torch.inference_mode()
def check_static(static: StaticDraw, head: Head, dtype: torch.dtype, tolerance: float) -> None:
    """Try it on a few rows, a capture and a replay; what differs is not used, with one warning.

    Args: tolerance: of the logits, in parts of the largest.
    """
    apart, reason = 0.0, ""
    static.graphs.strict = True
    try:
        for number in (1, 2):
            generator = torch.Generator().manual_seed(number)
            hidden = torch.randn(3, head.dim, generator=generator).to(head.device, dtype)
            mean = torch.randn(3, head.dim, generator=generator).to(head.device)
            still = torch.zeros(3, device=head.device)
            same = Rows(*torch.ones(len(Rows._fields), 3, dtype=torch.long, device=head.device))
            want = head.logits(hidden, mean).float()
            got: Drawn = static(hidden, mean, still, same)
            apart = max(apart, float((got.logits.float() - want).abs().max() / want.abs().max()))
        if not apart < tolerance:
            reason = f"its logits differ by {apart:.1%}"
    except Exception as error:  # noqa: BLE001 - whatever a driver or a foreign model raises
        reason = f"{type(error).__name__}: {error}"
    static.clear()
    static.graphs.strict, static.graphs.failed = False, bool(reason)
    if reason:
        warnings.warn(
            f"noise and logits are computed without CUDA graphs ({reason}), which costs time",
            stacklevel=4,
        )
