"""The output layer's weight, row by row: what a direction of the pre-logit does to each token.

Dimensions: V vocabulary, d width of the pre-logits.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from prelogit.engine.spread import output_device
from prelogit.engine.weights import whole_weights


def keep_output_weight(module: Any) -> Tensor | None:
    """[V, d] of the model's dtype, where its logits are; call it before layers are packed.

    Tied to the input embeddings, as in most small models, it costs nothing. Otherwise a layer that
    is packed, sharded or on a disk cannot be read by rows, and a copy is kept with the model,
    counted among its weights. Processes that hold shards must all call this together.
    None: the output layer is none that has a weight.
    """
    output = module.get_output_embeddings()
    name = next((name for name, one in module.named_modules() if one is output), None)
    if not isinstance(output, nn.Linear) or name is None:
        return None
    weight, where = output.weight, output_device(module)
    if _readable(weight) and (weight.device.type != "cpu" or _tied(module, weight)):
        return weight.detach()
    found = next(whole for key, whole in whole_weights(module, only=f"{name}.weight"))
    kept = found.detach().to(where)
    module.register_buffer("output_rows", kept, persistent=False)
    return kept


def _readable(weight: Tensor) -> bool:
    return not weight.is_meta and not hasattr(weight, "full_tensor")


def _tied(module: Any, weight: Tensor) -> bool:
    """Whether the input embeddings hold the very same numbers: these are never packed."""
    embeddings = module.get_input_embeddings()
    return embeddings is not None and embeddings.weight is weight
