"""How likely the model by itself finds texts: one forward pass over each, nothing added.

The prompt's keys and values are shared with the engine's, so only the text itself is computed.

Dimensions: T tokens of a text, d width of the hidden states, V vocabulary.
"""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from prelogit.engine.decoder import cache_argument
from prelogit.engine.load import Model
from prelogit.engine.memory.device import give_memory_back, ran_out
from prelogit.engine.prefix import Group, Prefix
from prelogit.engine.spread import input_device
from prelogit.metrics.nll import mean_nll, token_nll

log = logging.getLogger("prelogit.likelihood")

_ROWS = 32  # logits of so many tokens at a time: a vocabulary is large


@torch.inference_mode()
def response_nll(
    model: Model,
    prompt: Sequence[int],
    responses: Sequence[Sequence[int]],
    *,
    prefix: Prefix | None = None,
) -> list[float | None]:
    """Mean NLL a token of each response to a prompt under the model, in nats.

    An end token that the response ends with counts.

    Args:    prompt, responses: token ids. prefix: the prompt's, where it was computed already.
    Returns: None for an empty response, and where a token's is not finite.
    """
    if not any(responses):
        return [None] * len(responses)
    prefix = prefix or model.decoder.prefill(prompt)
    return [mean_nll(_token_nll(model, prefix, list(one))) for one in responses]


def measured_nll(
    model: Model,
    prompt: Sequence[int],
    responses: Sequence[Sequence[int]],
    *,
    prefix: Prefix | None = None,
) -> list[float | None]:
    """The same; all None where it fails, whatever the reason: a metric must never cost an answer."""
    try:
        return response_nll(model, prompt, responses, prefix=prefix)
    except Exception as error:  # noqa: BLE001 - as said
        log.warning("no nll of a prompt of %d tokens: %s", len(prompt), type(error).__name__)
        short = ran_out(error)
    if short:  # not inside the except: the error's frames hold tensors
        give_memory_back(model.head.device)
    return [None] * len(responses)


def _token_nll(model: Model, prefix: Prefix, token_ids: list[int]) -> Tensor:
    """f64[T] on CPU."""
    if not token_ids:
        return torch.empty(0, dtype=torch.float64)
    hidden = prefix.hidden.to(model.head.device)
    if len(token_ids) > 1:
        later = (_by_steps if model.team else _at_once)(model, prefix, token_ids[:-1])
        hidden = torch.cat([hidden, later.to(hidden)])
    ids = torch.tensor(token_ids, device=hidden.device)
    parts = zip(torch.split(hidden, _ROWS), torch.split(ids, _ROWS), strict=True)
    return torch.cat([token_nll(model.head.logits(rows), some).cpu() for rows, some in parts])


def _at_once(model: Model, prefix: Prefix, token_ids: list[int]) -> Tensor:
    """[T, d] the hidden states at tokens that follow a prompt."""
    decoder: Any = model.module.base_model
    length, count = len(prefix.token_ids), len(token_ids)
    device = input_device(model.module)
    out = decoder(
        input_ids=torch.tensor([token_ids], device=device),
        position_ids=torch.arange(length, length + count, device=device)[None],
        use_cache=True,
        **{cache_argument(decoder): _own_cache(prefix)},
    )
    hidden: Tensor = out.last_hidden_state[0]
    return hidden


def _by_steps(model: Model, prefix: Prefix, token_ids: list[int]) -> Tensor:
    """The same by the decoder's steps: calls that the other processes of a split model hear of."""
    group = Group(prefix, [0], len(token_ids))
    found = []
    try:
        for token in token_ids:
            model.decoder.forward([group], torch.tensor([token], device=model.head.device))
            found.append(group.hidden.clone())  # the next step may write there
    finally:
        model.decoder.keep(group, [])
    return torch.cat(found)


def _own_cache(prefix: Prefix) -> Any:
    """The prompt's cache, to be written to; where layers only grow by new tensors, not a copy."""
    if not prefix.layers:
        return copy.deepcopy(prefix.cache)
    cache: Any = copy.copy(prefix.cache)
    cache.layers = [copy.copy(layer) for layer in cache.layers]
    return cache
