"""``transformers.generate`` as a peer: plain greedy, and best of n as TRL's sampler does it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from transformers import StoppingCriteria, StoppingCriteriaList

from benchmarks.rounds import Stopwatch, Timing, now


class _FirstToken(StoppingCriteria):
    """Stops nothing; notes when the first token was there, which is when the prefill was over."""

    def __init__(self) -> None:
        self.at: Timing | None = None

    def __call__(self, input_ids: Tensor, scores: Tensor, **_: Any) -> Tensor:
        if self.at is None:
            self.at = now()
        return torch.zeros(len(input_ids), dtype=torch.bool, device=input_ids.device)


@torch.inference_mode()
def generate(
    module: Any, token_ids: list[int], n: int, tokens: int, *, masked: bool, sampled: bool = False
) -> tuple[Timing, Timing]:
    """n rows of one prompt, ``tokens`` new ones each; returns the prefill's and the whole time.

    Rows are expanded before the prefill, as ``num_return_sequences`` does (which greedy decoding
    refuses). ``masked`` adds one padding position on the left: attention then gets a mask, as it
    does in every batch of prompts of unlike length. Without end tokens no logits processor runs.
    """
    ids = torch.tensor([[0, *token_ids]] if masked else [token_ids], device=module.device)
    mask = torch.ones_like(ids)
    if masked:
        mask[:, 0] = 0
    ids, mask = ids.expand(n, -1).contiguous(), mask.expand(n, -1).contiguous()
    sampling = {"temperature": 1.0, "top_k": 0, "top_p": 1.0} if sampled else {}
    first, start = _FirstToken(), now()
    out = module.generate(
        ids,
        attention_mask=mask,
        max_new_tokens=tokens,
        do_sample=sampled,
        stopping_criteria=StoppingCriteriaList([first]),
        **sampling,
    )
    end = now()
    if out.shape != (n, ids.shape[1] + tokens) or first.at is None:
        raise RuntimeError(f"generate ended early: {tuple(out.shape)}")
    return first.at - start, end - start


def generate_lap(
    watch: Stopwatch,
    name: str,
    module: Any,
    token_ids: list[int],
    n: int,
    tokens: int,
    masked: bool,
) -> None:
    """One call; laps NAME and NAME decode (without its prefill)."""
    prefill, whole = generate(module, token_ids, n, tokens, masked=masked)
    watch.record(name, whole)
    watch.record(f"{name} decode", whole - prefill)


def best_of_n_lap(
    watch: Stopwatch, name: str, module: Any, token_ids: list[int], n: int, tokens: int, size: int
) -> None:
    """A loop over generate calls that sample ``size`` rows each, as TRL's BestOfNSampler does."""
    whole, prefills = Timing(0.0, 0.0), Timing(0.0, 0.0)
    for first in range(0, n, size):
        rows = min(size, n - first)
        prefill, spent = generate(module, token_ids, rows, tokens, masked=False, sampled=True)
        whole, prefills = whole + spent, prefills + prefill
    watch.record(name, whole)
    watch.record(f"{name} decode", whole - prefills)
