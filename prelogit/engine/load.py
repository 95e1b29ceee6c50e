"""Load a causal language model so that its pre-logits can be steered."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

from prelogit.core.device_map import DeviceMap
from prelogit.core.errors import ModelError
from prelogit.core.memory import MemoryPlan
from prelogit.core.records import ModelRef
from prelogit.engine.decoder import Decoder, PlainDecoder
from prelogit.engine.embedded import ensure
from prelogit.engine.engine import Engine
from prelogit.engine.head import Head, check_head
from prelogit.engine.memory import plan_memory
from prelogit.engine.packed import pack, packable
from prelogit.engine.place import find_device, find_device_map, find_dtype
from prelogit.engine.rows_limit import RowsLimit
from prelogit.engine.spread import bridge, scattered
from prelogit.engine.way import Attention, GraphUse, choose
from prelogit.engine.weights import whole_weights
from prelogit.text import EMBEDDED, context_length, model_folder


@dataclass(frozen=True)
class Model:
    """A loaded model with all that decoding needs."""

    name: str
    fingerprint: str
    module: Any
    tokenizer: Any
    decoder: Decoder
    head: Head
    ends: frozenset[int]
    context: int | None
    attention: str
    memory: MemoryPlan
    limit: RowsLimit

    @property
    def max_rows(self) -> int:
        """Most samples decoded at the same time, before memory has ever run out."""
        return self.limit.most

    @property
    def dim(self) -> int:
        """d, the width of the pre-logits."""
        return self.head.dim

    @property
    def ref(self) -> ModelRef:
        """Name and fingerprint, as results carry them."""
        return ModelRef(name=self.name, fingerprint=self.fingerprint)

    def engine(self) -> Engine:
        """A fresh engine on this model."""
        self.limit.dare()
        return Engine(self.decoder, self.head, self.ends, self.limit, self.memory)


def load_model(
    name: str = EMBEDDED,
    *,
    device: str = "auto",
    dtype: str = "auto",
    attention: Attention = "auto",
    graphs: GraphUse = "auto",
    max_rows: int | None = None,
    memory_gb: float | None = None,
    device_map: DeviceMap | None = None,
    home: Path | str | None = None,
) -> Model:
    """Load a model by alias, Hugging Face id or folder.

    Args:    device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
             dtype: "auto" (float32 on CPU, bfloat16 elsewhere), "float32", "bfloat16", "float16".
             attention: "auto" shares the prompt among its samples where the architecture
             allows it; "shared" insists on that; "sdpa" and "eager" are transformers' own.
             graphs: "auto" replays decode steps as CUDA graphs on a GPU; "off" never does.
             max_rows: most samples decoded at the same time; None: 128 on CPU, 256 elsewhere,
             or fewer where memory does not suffice.
             memory_gb: what may be used, in 10^9 bytes and with the weights; None: what is free.
             device_map: spreads one model over devices as accelerate does: "auto", "balanced",
             "sequential", or the device of each module.
    Raises:  ModelError: says what is wrong and the cure.
    """
    if attention not in get_args(Attention):
        raise ModelError(f"attention {attention!r} is none: use {', '.join(get_args(Attention))}")
    if graphs not in get_args(GraphUse):
        raise ModelError(f"graphs {graphs!r} is none: use {', '.join(get_args(GraphUse))}")
    where = find_device(device)
    kind = find_dtype(dtype, where)
    options: dict[str, Any] = {"dtype": kind}
    if device_map is not None:
        options["device_map"] = find_device_map(device_map)
    if name == EMBEDDED:
        ensure(name, home)
    folder = model_folder(name, home=home)
    plain = attention if attention in ("sdpa", "eager") else "sdpa"
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
        module: Any
        try:
            module = AutoModelForCausalLM.from_pretrained(
                folder, attn_implementation=plain, **options
            )
        except ValueError:  # an architecture without SDPA
            module = AutoModelForCausalLM.from_pretrained(
                folder, attn_implementation="eager", **options
            )
    except (OSError, ValueError, KeyError) as error:
        told = f" with this device_map ({error})" if device_map is not None else ""
        raise ModelError(
            f"the model {name!r} cannot be loaded as a causal language model{told}: give a Hugging "
            "Face id that this machine can reach or has in its cache, or a local folder"
        ) from error
    module = module.eval()
    if device_map is None:
        module = module.to(where)
    return prepare(
        name,
        module,
        tokenizer,
        attention=attention,
        graphs=graphs,
        max_rows=max_rows,
        memory_gb=memory_gb,
        context=context_length(name, home=home),
    )


def prepare(
    name: str,
    module: Any,
    tokenizer: Any,
    *,
    attention: Attention = "auto",
    graphs: GraphUse = "auto",
    max_rows: int | None = None,
    memory_gb: float | None = None,
    context: int | None = None,
) -> Model:
    """The same for a model that is already in memory.

    The model is changed in place: its attention may be switched, and on CPU its linear layers
    are packed.
    """
    fingerprint, ends = _fingerprint(module), _end_tokens(module, tokenizer)
    if packable(module):
        pack(module)
    if scattered(module):
        bridge(module)
    head = Head(module)
    decoder = module.base_model
    check_head(head, decoder, module)
    way, kind = choose(module, attention, graphs)
    memory = plan_memory(
        module,
        way,
        shared=not isinstance(way, PlainDecoder),
        max_rows=max_rows,
        memory_gb=memory_gb,
    )
    limit = RowsLimit(memory.max_rows)
    return Model(
        name, fingerprint, module, tokenizer, way, head, ends, context, kind, memory, limit
    )


def _end_tokens(module: Any, tokenizer: Any) -> frozenset[int]:
    """Every token that ends an answer: generation settings, else configuration; and the tokenizer's.

    Written back to the generation settings, so that ``generate`` on this model stops alike.
    """
    found: set[int] = set()
    generation = getattr(module, "generation_config", None)
    declared = getattr(generation, "eos_token_id", None)
    if declared is None:
        declared = getattr(module.config.get_text_config(), "eos_token_id", None)
    if declared is not None:
        found.update([declared] if isinstance(declared, int) else declared)
    if getattr(tokenizer, "eos_token_id", None) is not None:
        found.add(tokenizer.eos_token_id)
    if generation is not None and found:
        generation.eos_token_id = sorted(found)
    return frozenset(int(token) for token in found)


def _fingerprint(module: Any) -> str:
    """16 hex digits over configuration, dtype and a sample of every weight: where it lies on disk is no part of it."""
    digest = hashlib.sha256(f"{type(module).__name__} {module.dtype}".encode())
    for name, weight in whole_weights(module):
        flat = weight.flatten()
        sample = flat[:: max(1, len(flat) // 64)][:64].float().cpu().numpy().tobytes()
        digest.update(f"{name} {tuple(weight.shape)}".encode() + sample)
    return digest.hexdigest()[:16]
