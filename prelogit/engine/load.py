"""Load a causal language model so that its pre-logits can be steered."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from prelogit.core.device_map import DeviceMap
from prelogit.core.errors import ModelError
from prelogit.core.memory import MemoryPlan
from prelogit.core.records import ModelRef
from prelogit.core.trust import Trust
from prelogit.engine.decoder import Decoder, PlainDecoder
from prelogit.engine.embedded import ensure
from prelogit.engine.engine import Engine
from prelogit.engine.flips import flip_sigma2
from prelogit.engine.graphs.drawing import check_static
from prelogit.engine.graphs.graph import GraphDecoder
from prelogit.engine.head import Head, check_head
from prelogit.engine.memory.device import plan_memory
from prelogit.engine.memory.rows_limit import RowsLimit
from prelogit.engine.output_rows import keep_output_weight
from prelogit.engine.packed import pack, packable
from prelogit.engine.place import find_device, find_device_map, find_dtype
from prelogit.engine.read import read_model
from prelogit.engine.spread import bridge, scattered
from prelogit.engine.tensor_parallel.split import check_size, load_split
from prelogit.engine.tensor_parallel.team import Team
from prelogit.engine.way import Attention, GraphUse, choose, tolerance
from prelogit.engine.weights import fingerprint_of
from prelogit.text import EMBEDDED, context_length, home_folder, model_folder


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
    team: Team | None = None  # the processes of a tensor-parallel model

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

    @cached_property
    def sigma2(self) -> float:
        """sigma2 "auto" of isotropic noise on the pre-logits; measured when it is first asked for.

        Raises: ModelError: it cannot be measured of this model.
        """
        return flip_sigma2(self.engine(), self.head, self.tokenizer, self.context)

    def close(self) -> None:
        """End the other processes of a tensor-parallel model; nothing is done for any other."""
        if self.team is not None:
            self.team.close()

    def on_loss(self, report: Callable[[str], None]) -> None:
        """Call ``report``, from another thread, when one of the model's processes has ended early."""
        if self.team is not None:
            self.team.on_loss = report

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
    tensor_parallel: int = 1,
    pickle_weights: bool = False,
    trust_remote_code: bool = False,
    home: Path | str | None = None,
) -> Model:
    """Load a model by alias, Hugging Face id or folder.

    Args:    device: "auto" (a GPU where there is one), "cpu", "cuda" or "cuda:N".
             dtype: "float32", "bfloat16", "float16", or "auto": bfloat16 on a GPU, on CPU what
             this processor was measured to decode faster with.
             attention: "auto" shares the prompt among its samples where the architecture
             allows it; "shared" insists on that; "sdpa" and "eager" are transformers' own.
             graphs: "auto" replays decode steps as CUDA graphs on a GPU; "off" never does.
             max_rows: most samples decoded at the same time; None: 128 on CPU, 256 elsewhere,
             or fewer where memory does not suffice.
             memory_gb: what may be used, in 10^9 bytes and with the weights; None: what is free.
             device_map: spreads one model over devices as accelerate does: "auto", "balanced",
             "sequential", or the device of each module.
             tensor_parallel: k > 1 splits each layer among k GPUs, ``device`` and those after it,
             each in a process of its own. Under torchrun only rank 0 comes back from here.
             pickle_weights: read weights that are not in safetensors, and may run code.
             trust_remote_code: run the code that the model brings.
    Raises:  ModelError: says what is wrong and the cure.
    """
    if attention not in get_args(Attention):
        raise ModelError(f"attention {attention!r} is none: use {', '.join(get_args(Attention))}")
    if graphs not in get_args(GraphUse):
        raise ModelError(f"graphs {graphs!r} is none: use {', '.join(get_args(GraphUse))}")
    check_size(tensor_parallel, device_map)
    where = find_device(device)
    if tensor_parallel > 1 and dtype == "auto" and where.type == "cpu":
        dtype = "float32"  # each process would measure for itself, and one process at that
    kind = find_dtype(dtype, where, home_folder(home))
    options: dict[str, Any] = {"dtype": kind}
    if device_map is not None:
        options["device_map"] = find_device_map(device_map)
    if name == EMBEDDED:
        ensure(name, home)
    folder = model_folder(name, home=home)
    trust = Trust(pickle_weights, trust_remote_code)
    how: dict[str, Any] = {
        "attention": attention,
        "graphs": graphs,
        "max_rows": max_rows,
        "memory_gb": memory_gb,
    }

    def load(more: dict[str, Any]) -> Model:
        module, tokenizer = read_model(name, folder, attention, options | more, trust)
        if device_map is None and not more:
            module = module.to(where)
        return prepare(name, module, tokenizer, context=context_length(name, home=home), **how)

    if tensor_parallel == 1:
        return load({})
    call = {
        "name": name,
        "device": device,
        "dtype": dtype,
        "tensor_parallel": tensor_parallel,
        "pickle_weights": pickle_weights,
        "trust_remote_code": trust_remote_code,
        "home": None if home is None else str(home),
        **how,
    }
    leading: Model = load_split(name, folder, tensor_parallel, where, call, load)
    return leading


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
    fingerprint, ends = fingerprint_of(module), _end_tokens(module, tokenizer)
    weight = keep_output_weight(module)
    if packable(module):
        pack(module)
    if scattered(module):
        bridge(module)
    head = Head(module, weight)
    decoder = module.base_model
    check_head(head, decoder, module)
    way, kind = choose(module, attention, graphs)
    if isinstance(way, GraphDecoder):
        check_static(way.draws(head), head, module.dtype, tolerance(module))
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
