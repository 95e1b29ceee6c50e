"""Noise as a function of its name: seed, prompt, iteration, sample, step. Nothing is stored.

Philox 4x32-10 (Salmon et al., 2011, "Parallel random numbers: as easy as 1, 2, 3") turns a
64-bit key and a 128-bit counter into four 32-bit words. The key is a hash of seed and prompt
id, the counter is (block of four coordinates, sample, step, iteration). A word becomes a
normal number as the sum of two look-ups, one for each of its 16-bit halves, in a stored table
of normal quantiles: no logarithm or cosine is evaluated, so that the bits are the same on
every device, in every batch and in every order.

Dimensions: R rows (one candidate at one step each), B = ceil(dim / 4) blocks.
"""

from __future__ import annotations

import hashlib
from functools import lru_cache
from importlib.resources import files
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

_WORD = 0xFFFFFFFF
_MULTIPLY = (0xD2511F53, 0xCD9E8D57)
_BUMP = (0x9E3779B9, 0xBB67AE85)
_ROUNDS = 10
# Blocks 0.. hold the coordinates of normal vectors; the last block is kept for uniforms.
_UNIFORM_BLOCK = _WORD


class Rows(NamedTuple):
    """R rows of noise by name; all i64[R] on one device."""

    key_low: Tensor
    key_high: Tensor
    iteration: Tensor
    sample: Tensor
    step: Tensor


@lru_cache(maxsize=65536)
def key_words(seed: int, prompt: str) -> tuple[int, int]:
    """The two 32-bit key words of a prompt's noise: 64 bits of BLAKE2b over seed and prompt id."""
    digest = hashlib.blake2b(f"{seed}\x00{prompt}".encode(), digest_size=8).digest()
    return int.from_bytes(digest[:4], "little"), int.from_bytes(digest[4:], "little")


def philox(
    counter: tuple[Tensor, Tensor, Tensor, Tensor], key: tuple[Tensor, Tensor]
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Philox 4x32-10: four i64 tensors of 32-bit words in, four out; they broadcast."""
    c0, c1, c2, c3 = counter
    k0, k1 = key
    for _ in range(_ROUNDS):
        # The 64-bit product may wrap; its bit pattern is what counts, and the mask undoes the
        # sign that the shift drags in.
        p0, p1 = c0 * _MULTIPLY[0], c2 * _MULTIPLY[1]
        c0, c1, c2, c3 = (
            (p1 >> 32 & _WORD) ^ c1 ^ k0,
            p1 & _WORD,
            (p0 >> 32 & _WORD) ^ c3 ^ k1,
            p0 & _WORD,
        )
        k0, k1 = k0 + _BUMP[0] & _WORD, k1 + _BUMP[1] & _WORD
    return c0, c1, c2, c3


@lru_cache(maxsize=8)
def _quantiles(device: str) -> Tensor:
    """f32[65536]: normal quantiles, ascending, scaled so that the sum of two has variance 1."""
    raw = files("prelogit").joinpath("normal_quantiles.f32").read_bytes()
    upper = torch.from_numpy(np.frombuffer(raw, dtype="<f4").astype(np.float32))
    return torch.cat([-upper.flip(0), upper]).to(device)


def normal_rows(rows: Rows, dim: int) -> Tensor:
    """f32[R, dim]: independent standard normal numbers, each a function of its row's name alone."""
    block = torch.arange((dim + 3) // 4, device=rows.step.device)[None]  # [1, B]
    words = philox(
        (block, rows.sample[:, None], rows.step[:, None], rows.iteration[:, None]),
        (rows.key_low[:, None], rows.key_high[:, None]),
    )
    word = torch.stack(words, dim=-1).flatten(1)[:, :dim]  # [R, dim]
    table = _quantiles(str(word.device))
    return table[word & 0xFFFF] + table[word >> 16]


def uniform_rows(rows: Rows) -> Tensor:
    """f64[R] in (0, 1), independent of the normal numbers of the same rows."""
    block = torch.full_like(rows.step, _UNIFORM_BLOCK)
    word, *_ = philox(
        (block, rows.sample, rows.step, rows.iteration), (rows.key_low, rows.key_high)
    )
    return (word.double() + 0.5) / 2.0**32


def rows_of(*, seed: int, prompt: str, iteration: int, sample: Tensor, step: Tensor) -> Rows:
    """Rows of one prompt in one iteration; sample and step are i64[R], step counts from 1."""
    low, high = key_words(seed, prompt)
    return Rows(
        torch.full_like(step, low),
        torch.full_like(step, high),
        torch.full_like(step, iteration),
        sample,
        step,
    )


def path_normal(
    *, seed: int, prompt: str, iteration: int, sample: int, steps: int, dim: int
) -> Tensor:
    """f32[steps, dim] on CPU: the noise of one candidate at steps 1 to ``steps``."""
    step = torch.arange(1, steps + 1)
    return normal_rows(
        rows_of(
            seed=seed,
            prompt=prompt,
            iteration=iteration,
            sample=torch.full_like(step, sample),
            step=step,
        ),
        dim,
    )


def standard_normal(
    *, seed: int, prompt: str, iteration: int, sample: int, step: int, dim: int
) -> Tensor:
    """The noise of one candidate at one step, before it is scaled and moved.

    Args:    seed: the job's. prompt: the prompt's id. iteration, step: from 1.
             sample: from 0. dim: width of the pre-logits.
    Returns: f32[dim] on CPU.
    Source:  arXiv 2510.26219: v_t = u_t + sigma * this.
    """
    rows = rows_of(
        seed=seed,
        prompt=prompt,
        iteration=iteration,
        sample=torch.tensor([sample]),
        step=torch.tensor([step]),
    )
    return normal_rows(rows, dim)[0]
