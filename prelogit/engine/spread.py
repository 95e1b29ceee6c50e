"""A model that is spread: its layers over several places, or its weights over several processes.

accelerate's hooks carry what a layer needs to the layer's device. Keys and values are then made
where their layer is; token ids, hidden states and logits need one agreed place each.
"""

from __future__ import annotations

from typing import Any

import torch


def scattered(module: Any) -> bool:
    """Whether accelerate's hooks carry weights or activations between places at every call."""
    return any(hasattr(child, "_hf_hook") for child in module.modules())


def sharded(module: Any) -> bool:
    """Whether this process holds only its part of some weights."""
    return getattr(module, "_tp_size", None) not in (None, 1)


def input_device(module: Any) -> torch.device:
    """Where the model wants its token ids."""
    return _works_on(module.get_input_embeddings())


def output_device(module: Any) -> torch.device:
    """Where the logits come out; hidden states are handed to the engine there."""
    return _works_on(module.get_output_embeddings())


def _works_on(layer: Any) -> torch.device:
    """A weight that is fetched for each call lies elsewhere; its hook knows the device."""
    hook = getattr(layer, "_hf_hook", None)
    for one in getattr(hook, "hooks", (hook,)):
        place = getattr(one, "execution_device", None)
        if place is not None:
            return torch.device(place)
    weight = layer.weight if hasattr(layer, "weight") else next(layer.parameters(), None)
    return torch.device("cpu") if weight is None else weight.device  # packed layers are the CPU's


def bridge(module: Any) -> None:
    """Let a scattered model's decoder take its inputs from, and give its hidden states to, one place."""
    first, last = input_device(module), output_device(module)

    def before(_: Any, args: Any, given: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
        moved = {
            name: value.to(first) if isinstance(value, torch.Tensor) else value
            for name, value in given.items()
        }
        return args, moved

    def after(_: Any, args: Any, out: Any) -> Any:
        out.last_hidden_state = out.last_hidden_state.to(last)
        return out

    module.base_model.register_forward_pre_hook(before, with_kwargs=True)
    module.base_model.register_forward_hook(after)
