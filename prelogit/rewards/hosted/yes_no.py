"""A language model as judge: the logit of "Yes" less that of "No" after a question.

Dimensions: B rows, L tokens, U different lengths, V vocabulary.
"""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor

from prelogit.core.trust import UNTRUSTED, Trust
from prelogit.rewards.hosted.checkpoint import Dtype, length_limit, load_checkpoint, shown
from prelogit.rewards.hosted.forward import Reader
from prelogit.rewards.hosted.question import QUESTION, Words, find_words, question_renderer
from prelogit.rewards.hosted.reader import Writing, host_reader, refuse_missing_weights
from prelogit.rewards.hosted.reward import HostedReward
from prelogit.rewards.hosted.sharing import cache_argument
from prelogit.rewards.hosted.truncation import Truncation

ROWS = 8  # that have logits over the whole vocabulary at a time


def load_yes_no(
    name: str,
    *,
    model: str,
    question: str | None = None,
    yes: str = "Yes",
    no: str = "No",
    device: str = "auto",
    dtype: Dtype = "auto",
    max_tokens: int | None = None,
    truncation: Truncation = "left",
    chat_template: str | None = None,
    description: str | None = None,
    trust: Trust = UNTRUSTED,
) -> HostedReward:
    """A reward from any causal language model.

    Args:   model: a folder or hub id. question: with ``{conversation}`` and ``{response}`` in
            it, in that order; None is a question about helpfulness.
            yes, no: the replies that are weighed against each other, one token each.
            max_tokens: most tokens of question, conversation and response together.
            trust: what the model's files may do.
    Raises: ModelError: cannot be loaded, the words are not one token each, or its scores change
            with the batch.
    """
    from transformers import AutoModelForCausalLM

    loaded = load_checkpoint(AutoModelForCausalLM, model, device=device, dtype=dtype, trust=trust)
    refuse_missing_weights(loaded, model, "name a whole language model")
    if chat_template is not None:
        loaded.tokenizer.chat_template = chat_template
    asked = QUESTION if question is None else question
    words = find_words(loaded.tokenizer, yes, no)
    limits = [length_limit(loaded.model, loaded.tokenizer), max_tokens]
    limit = min((each for each in limits if each is not None), default=None)
    written = Writing(
        render=question_renderer(loaded.tokenizer, asked, limit, truncation),
        # The check of the batch is to work with a limit that real items are cut to.
        lenient=question_renderer(loaded.tokenizer, asked, None, truncation),
        render_text=None,
        limit=limit,
        truncation=truncation,
    )
    return host_reader(
        Reader(LastWord(loaded.model, words), loaded.device, lambda answer: answer),
        written,
        loaded,
        name=name,
        kind="yes-no",
        model=model,
        description=description or f"the logit of {yes!r} less that of {no!r} by {shown(model)}",
        settings={"question": asked, "yes": words.yes, "no": words.no},
    )


class LastWord:
    """A causal language model that answers a batch with one number a row."""

    def __init__(self, model: Any, words: Words) -> None:
        self._model = model
        self._words = words
        self._keeps = "logits_to_keep" in inspect.signature(model.forward).parameters
        self._cache = cache_argument(model)
        self.config = model.config
        self.dtype = model.dtype

    def __call__(
        self,
        input_ids: Tensor,
        attention_mask: Tensor,
        position_ids: Tensor | None = None,
        cache: Any = None,
    ) -> Tensor:
        """f64[B] on CPU of rows, or of what follows on those that a cache keeps."""
        weighed = []
        for first in range(0, len(input_ids), ROWS):
            part = slice(first, first + ROWS)
            options: dict[str, Any] = {"use_cache": cache is not None}
            if position_ids is not None:
                options["position_ids"] = position_ids[part]
            if cache is not None and self._cache is not None:
                options[self._cache] = cache
            weighed.append(self._weigh(input_ids[part], attention_mask[part], options))
        return torch.cat(weighed)

    def _weigh(self, ids: Tensor, mask: Tensor, options: dict[str, Any]) -> Tensor:
        """Of at most ROWS rows; logits [B, U, V] only where a row ends."""
        ends = mask[:, -ids.shape[1] :].sum(1) - 1
        kept = torch.unique(ends)
        if self._keeps:
            options["logits_to_keep"] = kept
        logits = self._model(input_ids=ids, attention_mask=mask, **options).logits
        at = torch.searchsorted(kept, ends) if self._keeps else ends
        last = logits[torch.arange(len(at), device=at.device), at].to("cpu", torch.float64)
        yes = torch.logsumexp(last[:, self._words.yes], dim=-1)
        no = torch.logsumexp(last[:, self._words.no], dim=-1)
        return yes - no
