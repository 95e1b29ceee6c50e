"""Reward models with one linear layer on the last token, after their published definitions.

UltraRM-13b (Llama) and Eurus-RM-7b (Mistral): the reward is ``regression_head`` of the last
state that is attended to. Both were published with one turn; further turns are written alike,
and a system message stands before the next user message.

Dimensions: B rows, L tokens, d width of a state.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from transformers import LlamaModel, MistralModel
from transformers.models.llama.modeling_llama import LlamaPreTrainedModel
from transformers.models.mistral.modeling_mistral import MistralPreTrainedModel

from prelogit.rewards.hosted.sharing import cache_argument

TURNS = (
    "{% set ns = namespace(before='', between='') %}{% for m in messages %}"
    "{% if m['role'] == 'system' %}{% set ns.before = m['content'] ~ '\n\n' %}"
    "{% elif m['role'] == 'user' %}"
    "{{ ns.between ~ USER[0] ~ ns.before ~ m['content'] ~ USER[1] }}"
    "{% set ns.before = '' %}{% set ns.between = BETWEEN %}"
    "{% else %}{{ ANSWER ~ m['content'] }}{% endif %}{% endfor %}"
)


def _template(before: str, after: str, answer: str, between: str) -> str:
    return (
        f"{{% set USER = [{before!r}, {after!r}] %}}{{% set ANSWER = {answer!r} %}}"
        f"{{% set BETWEEN = {between!r} %}}{TURNS}"
    )


def _rewards(
    self: Any,
    input_ids: Tensor,
    attention_mask: Tensor,
    position_ids: Tensor | None = None,
    cache: Any = None,
) -> Tensor:
    """Rewards [B] of rows of tokens, or of what follows on those that a cache keeps."""
    read = _read(self.model, input_ids, attention_mask, position_ids, cache)
    return _last(self.regression_head, read, attention_mask)


class UltraRM(LlamaPreTrainedModel):  # type: ignore[no-untyped-call]
    """openbmb/UltraRM-13b. A conversation reads "Human: …", line break, "Assistant: …"."""

    chat_template = _template("Human: ", "\n", "Assistant: ", "\n")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = LlamaModel(config)
        self.regression_head = nn.Linear(config.hidden_size, 1, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    forward = _rewards


class EurusRM(MistralPreTrainedModel):  # type: ignore[no-untyped-call]
    """openbmb/Eurus-RM-7b. A conversation reads "[INST] … [/INST] …"."""

    chat_template = _template("[INST] ", " [/INST]", " ", " ")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = MistralModel(config)
        self.regression_head = nn.Linear(config.hidden_size, 1, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    forward = _rewards


def _read(model: Any, ids: Tensor, mask: Tensor, positions: Tensor | None, cache: Any) -> Tensor:
    """States [B, L, d]."""
    given = {"input_ids": ids, "attention_mask": mask, "position_ids": positions}
    name = cache_argument(model)
    if name is not None:
        given[name] = cache
    states: Tensor = model(**given, use_cache=cache is not None).last_hidden_state
    return states


def _last(head: nn.Module, states: Tensor, mask: Tensor) -> Tensor:
    """The head's number at the last token of each row that the mask shows."""
    places = torch.arange(states.shape[1], device=mask.device)
    ends = (places * mask[:, -states.shape[1] :]).argmax(dim=1)
    rewards: Tensor = head(states[torch.arange(len(ends), device=ends.device), ends])
    return rewards.squeeze(-1)
