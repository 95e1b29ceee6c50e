"""The models of this installation, as far as they can be known without loading their weights."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Literal, NamedTuple

from huggingface_hub import try_to_load_from_cache
from pydantic import BaseModel

from prelogit.core.build import build_of, weights_of
from prelogit.core.errors import ModelError
from prelogit.core.memory import GB, ROWS, MemoryPlan, footprint, most_fitting
from prelogit.text import context_length, load_tokenizer, model_folder


class Text(NamedTuple):
    """What counting prompts needs: the tokenizer, and how many tokens fit (None: not said)."""

    tokenizer: Any
    context_length: int | None


class ModelLimits(BaseModel):
    """Most of each thing in one job of this installation."""

    prompts: int
    max_new_tokens: int
    samples: int
    body_bytes: int
    stream_bytes: int


class ModelEntry(BaseModel):
    """One entry of ``GET /v1/models``; ``problem`` says why it is not ready, and the cure.

    ``default``: of jobs that name no model. ``context_length``: tokens of prompt and answer
    together. ``workers``: how many serve it now; jobs for a model without one wait for it.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["prelogit"] = "prelogit"
    default: bool
    ready: bool
    problem: str | None
    context_length: int | None
    device: str
    dtype: str
    workers: int
    limits: ModelLimits


class Models(BaseModel):
    """``GET /v1/models``."""

    object: Literal["list"] = "list"
    data: list[ModelEntry]


class ModelText:
    """Loads a model's tokenizer when it is first needed, and keeps it."""

    def __init__(self, name: str, home: Path) -> None:
        self.name = name
        self._home = home
        self._lock = threading.Lock()
        self._text: Text | None = None

    def load(self) -> Text:
        """The tokenizer and the context length.

        Raises: ModelError: the model is not prepared or cannot be found; asked again, it is
                looked for again.
        """
        with self._lock:
            if self._text is None:
                self._text = Text(
                    load_tokenizer(self.name, home=self._home),
                    context_length(self.name, home=self._home),
                )
            return self._text

    def problem(self) -> str | None:
        """Why prompts cannot be counted, None when they can."""
        try:
            self.load()
        except ModelError as error:
            return str(error)
        return None

    def shape(self) -> dict[str, Any] | None:
        """The model's config.json where this machine has it; the network is not asked."""
        folder = model_folder(self.name, home=self._home)
        path: Any = Path(folder) / "config.json"
        try:
            if not path.is_file():
                path = try_to_load_from_cache(folder, "config.json")
            if not isinstance(path, str | Path):
                return None
            config: dict[str, Any] = json.loads(Path(path).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        return config.get("text_config") or config


def memory_bytes(
    shape: dict[str, Any],
    *,
    dtype: str,
    on_cpu: bool,
    rows: int,
    max_rows: int | None,
    memory_gb: float | None,
    prompt_tokens: list[int],
    new_tokens: int,
) -> int | None:
    """What a worker would hold at most, estimated from the model's config.json.

    Args:    rows: samples that may be decoded together; max_rows and memory_gb, as the workers
             have them, bound these. prompt_tokens: of the prompts decoded together, the
             longest first. new_tokens: of one row.
    Returns: None when the configuration lacks a number that is needed.
    """
    build = build_of(shape)
    if build is None:
        return None
    weights = weights_of(build, dtype, packed=on_cpu)
    budget = None if memory_gb is None else int(memory_gb * GB)
    wanted = min(max_rows or ROWS["cpu" if on_cpu else "other"], rows)
    taken = footprint(build, dtype, weights=weights, on_cpu=on_cpu, graphs=not on_cpu)
    plan = MemoryPlan(budget, taken, wanted)
    longest, others = prompt_tokens[0], plan.prefix_bytes(sum(prompt_tokens[1:]))
    others += plan.copies_bytes(len(prompt_tokens), longest) - plan.copies_bytes(1, longest)

    def need(count: int) -> int:
        return weights + plan.footprint.fixed + others + plan.need(count, longest, new_tokens)

    fit = most_fitting(wanted, lambda count: budget is None or need(count) <= budget)
    return need(max(1, fit))
