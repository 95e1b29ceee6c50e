"""How much isotropic noise a model takes before its most likely tokens change: sigma2 "auto".

At a pre-logit z whose most likely token is y, noise sigma * eps, eps ~ N(0, I), changes the token as
soon as sigma exceeds

    s(z, eps) = min over j with (W_j - W_y).eps > 0  of  (logit_y - logit_j) / (W_j - W_y).eps

so the sigma at which a wanted share of tokens changes is that quantile of s. It is read off along
answers to a few prompts of our own, drawn from the model itself: greedy ones of a base model repeat
themselves, and there nothing changes a token. Pre-logits with twice the length, or output weights with
half of it, give twice the sigma: the number follows the model's geometry and no reward's scale.

What scales or caps logits after the output layer keeps their order, so it has no say here.

Dimensions: S pre-logits, D draws of noise for each, V vocabulary, d width of the pre-logits.
"""

from __future__ import annotations

import logging
import math
import time
from typing import Any

import torch
from torch import Tensor

from prelogit.core.errors import InputError, MemoryShortError, ModelError
from prelogit.engine.engine import Engine
from prelogit.engine.head import Head
from prelogit.noise import normal_rows, rows_of
from prelogit.search.plan import NoiseKey, Plan, Rollouts, SearchId, TopP
from prelogit.text import encode
from prelogit.wire.jobs import PromptItem

log = logging.getLogger("prelogit.engine.flips")

SHARE = 0.3  # of the most likely tokens that the noise changes
_PROMPTS = (
    "What can I do on a rainy afternoon?",
    "Explain how bread rises.",
    "Write a few friendly lines to a colleague who has moved to another team.",
    "Which is better for a small garden, a hedge or a fence?",
    "How does a bicycle stay upright?",
    "Tell me about the history of tea.",
    "I keep forgetting names. What helps?",
    "Describe a harbour early in the morning.",
)
_TOKENS = 32  # of each answer
_TEMPERATURE, _TOP_P = 0.8, 0.95  # of the answers
_DRAWS = 2  # D
_BLOCK = 2048  # tokens whose output weights are read at a time
_DIGITS = 2  # that of sigma2 are kept: the last bits of logits differ between devices


def flip_sigma2(engine: Engine, head: Head, tokenizer: Any, context: int | None) -> float:
    """The variance of noise N(0, sigma2 I) on the pre-logits that changes ``SHARE`` of the tokens.

    A function of the model alone: no job, prompt or seed has a say. Costs eight answers of 32
    tokens, and as many products with the output layer.

    Raises: ModelError: the output layer cannot be read, or noise never or always changes tokens.
    """
    start = time.perf_counter()
    prelogit = _answers(engine, tokenizer, context)
    thresholds = _thresholds(head, prelogit)
    sigma2 = variance_at(SHARE, thresholds)
    log.info(
        "sigma2 auto is %g: noise changes %g of the most likely tokens (%d seen, %.1f s)",
        *(sigma2, SHARE, len(prelogit), time.perf_counter() - start),
    )
    return sigma2


def variance_at(share: float, thresholds: Tensor) -> float:
    """The smallest variance at which this share of draws changes the token, to two digits.

    Args:   thresholds: f[m] >= 0, the sigma beyond which each draw does; inf: none does.
    Raises: ModelError: no finite positive variance has this share.
    """
    place = max(1, math.ceil(share * len(thresholds)))
    sigma = float(thresholds.double().sort().values[place - 1])
    if not 0.0 < sigma < math.inf:
        raise ModelError(
            "this model's tokens change by noise of any size or of none, so sigma2 cannot be "
            'taken from it: give a number in place of "auto"'
        )
    return float(f"{sigma * sigma:.{_DIGITS}g}")


def first_flips(logits: Tensor, lifted: Tensor, top: Tensor, start: int = 0) -> Tensor:
    """f[m]: the sigma beyond which one of these tokens overtakes the most likely one.

    Args: logits, lifted: f[m, v], logit_y - logit_j and (W_j - W_y).eps of the tokens that begin
          with ``start``. top: i64[m], y, which does not overtake itself.
    """
    token = torch.arange(start, start + logits.shape[1], device=logits.device)
    rises = (lifted > 0) & (token[None] != top[:, None])
    return torch.where(rises, logits.clamp_min(0) / lifted, math.inf).amin(dim=-1)


@torch.inference_mode()
def _thresholds(head: Head, prelogit: Tensor) -> Tensor:
    """f32[S * D] of pre-logits f32[S, d]; a block of tokens at a time."""
    z = prelogit.to(head.device)
    best = torch.full((len(z),), -math.inf, device=z.device)
    top = torch.zeros(len(z), dtype=torch.long, device=z.device)
    for start, weight, bias in head.blocks(_BLOCK):
        value, token = (z @ weight.T + bias).max(dim=-1)
        top = torch.where(value > best, token + start, top)
        best = torch.maximum(best, value)
    state = torch.arange(len(z)).repeat(_DRAWS)
    names = rows_of(
        seed=0,
        prompt="flips",
        iteration=1,
        sample=torch.arange(_DRAWS).repeat_interleave(len(z)),
        step=state + 1,
    )
    eps = normal_rows(names, head.dim).to(z.device)
    state = state.to(z.device)
    own = (eps * head.rows(top)[state]).sum(dim=-1)
    found = torch.full((len(eps),), math.inf, device=z.device)
    for start, weight, bias in head.blocks(_BLOCK):
        behind = best[:, None] - (z @ weight.T + bias)
        lifted = eps @ weight.T - own[:, None]
        found = torch.minimum(found, first_flips(behind[state], lifted, top[state], start))
    return found


def _answers(engine: Engine, tokenizer: Any, context: int | None) -> Tensor:
    """f32[S, d]: every pre-logit of the answers, an end token's too."""
    tokens = _TOKENS if context is None else min(_TOKENS, max(1, context // 2))
    for text in _PROMPTS:
        token_ids = _encoded(tokenizer, text)
        engine.admit(text, token_ids if context is None else token_ids[tokens - context :])
        pick = TopP(_TEMPERATURE, _TOP_P, NoiseKey(0, text, 1))
        engine.add(SearchId(text), Plan(1, None, pick, tokens, keep_hidden=True))
    found: dict[str, Tensor] = {}
    while engine.busy:
        for search, came in engine.step():
            if isinstance(came, MemoryShortError):
                raise came
            assert isinstance(came, Rollouts)  # noqa: S101 - no method picks here
            assert came.hidden is not None  # noqa: S101 - asked for
            found[search.prompt] = came.hidden[0, : int(came.length[0])].float()
            engine.release(search.prompt)
    return torch.cat([found[text] for text in _PROMPTS])


def _encoded(tokenizer: Any, text: str) -> list[int]:
    """As a user's prompt; plain where the chat template will not have it alone."""
    item = PromptItem(prompt=text)
    try:
        return encode(tokenizer, item)
    except InputError:
        return encode(tokenizer, item, "none")
