"""Read a causal language model and its tokenizer with transformers."""

from __future__ import annotations

from typing import Any

from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from prelogit.core.errors import ModelError
from prelogit.core.trust import UNTRUSTED, Trust


def read_model(
    name: str, folder: str, attention: str, options: dict[str, Any], trust: Trust = UNTRUSTED
) -> tuple[Any, Any]:
    """Model, in evaluation mode, and tokenizer.

    Args:    folder: of the model ``name``, or its Hugging Face id. attention: transformers' own
             is looked for under this name first. options: further ones of ``from_pretrained``.
             trust: what its files may do.
    Raises:  ModelError: it cannot be read; says the cure.
    """
    plain = attention if attention in ("sdpa", "eager") else "sdpa"
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder, trust_remote_code=trust.remote_code)
        module: Any
        try:
            module = AutoModelForCausalLM.from_pretrained(
                folder, attn_implementation=plain, **trust.of_weights, **options
            )
        except ValueError:  # an architecture without SDPA
            module = AutoModelForCausalLM.from_pretrained(
                folder, attn_implementation="eager", **trust.of_weights, **options
            )
    except (OSError, ValueError, KeyError) as error:
        untrusted = trust.needed(f"the model {name!r}", error)
        if untrusted is not None:
            raise ModelError(untrusted) from error
        told = f" with this device_map ({error})" if "device_map" in options else ""
        raise ModelError(
            f"the model {name!r} cannot be loaded as a causal language model{told}: give a Hugging "
            "Face id that this machine can reach or has in its cache, or a local folder"
        ) from error
    return module.eval(), tokenizer
