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


class UltraRM(LlamaPreTrainedModel):  # type: ignore[no-untyped-call]
    """openbmb/UltraRM-13b. A conversation reads "Human: …", line break, "Assistant: …"."""

    chat_template = _template("Human: ", "\n", "Assistant: ", "\n")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = LlamaModel(config)
        self.regression_head = nn.Linear(config.hidden_size, 1, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Rewards [B] of rows of tokens."""
        return _last(self.regression_head, self.model, input_ids, attention_mask)


class EurusRM(MistralPreTrainedModel):  # type: ignore[no-untyped-call]
    """openbmb/Eurus-RM-7b. A conversation reads "[INST] … [/INST] …"."""

    chat_template = _template("[INST] ", " [/INST]", " ", " ")

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        self.model = MistralModel(config)
        self.regression_head = nn.Linear(config.hidden_size, 1, bias=False)
        self.post_init()  # type: ignore[no-untyped-call]

    def forward(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Rewards [B] of rows of tokens."""
        return _last(self.regression_head, self.model, input_ids, attention_mask)


def _last(head: nn.Module, model: nn.Module, ids: Tensor, mask: Tensor) -> Tensor:
    """The head's number at the last token of each row that the mask shows."""
    states = model(input_ids=ids, attention_mask=mask, use_cache=False).last_hidden_state
    places = torch.arange(mask.shape[1], device=mask.device)
    ends = (places * mask).argmax(dim=1)
    rewards: Tensor = head(states[torch.arange(len(ends), device=ends.device), ends])
    return rewards.squeeze(-1)
