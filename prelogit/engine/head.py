"""From the last hidden state to logits, by the model's own code, noise added on the way.

The pre-logit is whatever enters the output layer. Some architectures scale the hidden state
before it, others scale, cap or bias the logits after it (Gemma 2 and 3, Cohere, Granite,
MiniCPM). Instead of listing them, the model's own forward runs with its decoder replaced by
one that hands back a given hidden state.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from transformers.modeling_outputs import MoeModelOutputWithPast

from prelogit.core.errors import ModelError
from prelogit.engine.spread import input_device, output_device


class _DecoderOutput(MoeModelOutputWithPast):
    """What any decoder may return; what only some do is None."""

    cross_attentions = None
    image_hidden_states = None


class _GivenHidden(nn.Module):
    """Stands where the decoder was and returns what it was given."""

    def forward(self, *args: Any, inputs_embeds: Tensor, **kwargs: Any) -> _DecoderOutput:
        return _DecoderOutput(last_hidden_state=inputs_embeds)


class _ReachedError(Exception):
    """Leaves the tail where the output layer would begin, with what was to enter it."""

    def __init__(self, prelogit: Tensor) -> None:
        super().__init__("the output layer was reached")
        self.prelogit = prelogit


class _NoisyOutput(nn.Module):
    """The output layer, with something added to its input."""

    def __init__(self, output: nn.Module) -> None:
        super().__init__()
        self.output = output
        self.added: Tensor | None = None
        self.stop = False

    def forward(self, prelogit: Tensor) -> Tensor:
        if self.stop:
            raise _ReachedError(prelogit)
        if self.added is not None:
            prelogit = prelogit + self.added.to(prelogit)
        logits: Tensor = self.output(prelogit)
        return logits


class Head:
    """The tail of a causal language model, from hidden state to logits.

    ``weight``: [V, d] of the output layer, where it can be read by rows.
    """

    def __init__(self, model: Any, weight: Tensor | None = None) -> None:
        output = model.get_output_embeddings()
        place = next((name for name, child in model.named_children() if child is output), None)
        decoder = model.base_model_prefix
        if output is None or place is None or not hasattr(model, decoder):
            raise ModelError(
                f"{type(model).__name__} has no output layer over a decoder, so its pre-logits cannot "
                "be reached: choose a causal language model"
            )
        self.dim: int = output.in_features
        self.device: torch.device = output_device(model)
        self._weight = weight
        self._bias: Tensor | None = getattr(output, "bias", None)
        self._output = _NoisyOutput(output)
        # A shallow copy shares all weights; only its table of children is its own.
        self._tail = copy.copy(model)
        # accelerate's hook would run the original's forward in place of the copy's.
        self._tail.__dict__.pop("forward", None)
        self._tail._modules = dict(model._modules)
        self._tail._modules[decoder] = _GivenHidden()
        self._tail._modules[place] = self._output

    def logits(self, hidden: Tensor, added: Tensor | None = None) -> Tensor:
        """[R, V] logits of hidden states [R, d], with ``added`` [R, d] on the pre-logits."""
        self._output.added = None if added is None else added[:, None]
        logits: Tensor = self._tail(inputs_embeds=hidden[:, None], use_cache=False).logits
        return logits[:, -1]

    def rows(self, tokens: Tensor) -> Tensor:
        """f32[m, d] the output layer's weights of tokens i64[m].

        Raises: ModelError: the output layer has none.
        """
        if self._weight is None:
            raise ModelError(
                "the output layer has no weight that can be read by rows, which noise in the shape of "
                'the model\'s uncertainty needs: ask for proposal "mean"'
            )
        return self._weight[tokens].float()

    def blocks(self, size: int) -> Iterator[tuple[int, Tensor, Tensor]]:
        """The output layer in order: a block's first token, its weights f32[<= size, d] and bias.

        Raises: ModelError: the output layer has no weight that can be read.
        """
        if self._weight is None or hasattr(self._bias, "full_tensor"):
            raise ModelError(
                'the output layer has no weight that can be read, which sigma2 "auto" needs: give a '
                "number"
            )
        for start in range(0, len(self._weight), size):
            weight = self._weight[start : start + size].float()
            if self._bias is None:
                bias = torch.zeros(len(weight), device=weight.device)
            else:
                bias = self._bias[start : start + size].float().to(weight.device)
            yield start, weight, bias

    def prelogit(self, hidden: Tensor) -> Tensor:
        """[R, d] what enters the output layer for hidden states [R, d]: scaled, in some models."""
        self._output.stop = True
        try:
            self._tail(inputs_embeds=hidden[:, None], use_cache=False)
        except _ReachedError as reached:
            return reached.prelogit[:, -1]
        finally:
            self._output.stop = False
        raise ModelError("the model's tail does not pass its output layer")


def check_head(head: Head, decoder: Any, model: Any) -> None:
    """Compare with the whole model on a few tokens.

    Raises: ModelError: the tail does not reproduce the model's logits.
    """
    ids = torch.arange(1, 5, device=input_device(model))[None]
    with torch.inference_mode():
        want = model(input_ids=ids).logits[0, -1].float().to(head.device)
        got = head.logits(decoder(input_ids=ids).last_hidden_state[:, -1])[0].float()
    spread = float(want.max() - want.min())
    if not torch.allclose(got, want, rtol=0, atol=max(1e-3, 0.02 * spread)):
        raise ModelError(
            f"the logits of {type(model).__name__} are not a function of its last hidden state alone; "
            "such a model cannot be steered at its pre-logits"
        )
