"""The model of this installation, as far as it can be known without loading its weights."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import Any, Literal, NamedTuple

from huggingface_hub import try_to_load_from_cache
from pydantic import BaseModel

from prelogit.core.errors import ModelError
from prelogit.text import context_length, load_tokenizer, model_folder

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}


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


class ModelEntry(BaseModel):
    """One entry of ``GET /v1/models``; ``problem`` says why it is not ready, and the cure.

    ``context_length``: tokens of prompt and answer together. ``workers``: how many serve it now.
    """

    id: str
    object: Literal["model"] = "model"
    created: int
    owned_by: Literal["prelogit"] = "prelogit"
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
    shape: dict[str, Any], *, dtype: str, rows: int, prefix_tokens: int, new_tokens: int
) -> int | None:
    """Weights plus keys and values of a decoder like Llama's, estimated from its config.json.

    Args:    rows: samples decoded together. prefix_tokens: of all prompts decoded together,
             each kept once. new_tokens: of one row.
    Returns: None when the configuration lacks a number that is needed.
    """
    try:
        width, layers = int(shape["hidden_size"]), int(shape["num_hidden_layers"])
        heads, inner = int(shape["num_attention_heads"]), int(shape["intermediate_size"])
        vocabulary = int(shape["vocab_size"])
        kv_heads = int(shape.get("num_key_value_heads") or heads)
        head = int(shape.get("head_dim") or width // heads)
    except (KeyError, TypeError, ValueError, ZeroDivisionError):
        return None
    tables = vocabulary * width * (1 if shape.get("tie_word_embeddings", True) else 2)
    attention = width * head * (2 * heads + 2 * kv_heads)
    weights = tables + layers * (attention + 3 * width * inner + 2 * width) + width
    keys_values = 2 * layers * kv_heads * head * (prefix_tokens + rows * new_tokens)
    return (weights + keys_values) * BYTES.get(dtype, BYTES["float32"])
