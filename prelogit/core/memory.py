"""How much memory decoding takes, as arithmetic: no model is loaded and no device is asked.

What decoding holds: the weights; the keys and values of each prompt, once for all of its
samples; room for those of each sample's own tokens; and, while a step runs, the noise, the
hidden states and the logits of each row. The first three are exact, the last is an upper
estimate. All sizes are in bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

BYTES = {"float32": 4, "bfloat16": 2, "float16": 2}
ROWS = {"cpu": 128, "other": 256}  # rows decoded together when nothing is set
GB = 10**9
# What rows are counted with before a job is known: its defaults, and a short prompt.
USUAL_PROMPT_TOKENS = 64
USUAL_NEW_TOKENS = 64
SLOTS = 16

_NAMES = {
    "layers": ("num_hidden_layers", "n_layer"),
    "width": ("hidden_size", "n_embd"),
    "heads": ("num_attention_heads", "n_head"),
    "vocabulary": ("vocab_size",),
}


class Build(NamedTuple):
    """How a decoder is built: d = width, H = kv_heads of head_width, V = vocabulary."""

    layers: int
    width: int
    heads: int
    kv_heads: int
    head_width: int
    inner: int  # width of the feed-forward layers
    vocabulary: int
    tied: bool  # one table for the embedding and the output layer
    capped: bool  # attention scores pass through a tanh, so no fused attention takes them
    slides: bool  # some layers attend to a window


class Footprint(NamedTuple):
    """What the parts of one loaded model take.

    token: keys and values of one token in all layers. row: what one row works with in a step.
    score: what it works with besides for each token that it attends to. prefill: what a
    prompt works with for each of its tokens; square: for each pair of its tokens. fixed: once.
    shared: a prompt's keys and values are kept once; else every row has its own copy beside.
    """

    weights: int
    token: int
    row: int
    score: int
    prefill: int
    square: int
    fixed: int
    shared: bool


def said(size: int) -> str:
    """Bytes as a user reads them."""
    for unit, name in ((GB, "GB"), (10**6, "MB"), (1000, "kB")):
        if abs(size) >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} bytes"


def build_of(config: Mapping[str, Any]) -> Build | None:
    """From the text part of a config.json; None when it lacks a number that is needed."""
    try:
        layers, width, heads, vocabulary = (
            next(int(config[name]) for name in names if config.get(name))
            for names in _NAMES.values()
        )
        return Build(
            layers=layers,
            width=width,
            heads=heads,
            kv_heads=int(config.get("num_key_value_heads") or heads),
            head_width=int(config.get("head_dim") or width // heads),
            inner=int(config.get("intermediate_size") or config.get("n_inner") or 4 * width),
            vocabulary=vocabulary,
            tied=bool(config.get("tie_word_embeddings", True)),
            capped=bool(config.get("attn_logit_softcapping")),
            slides=bool(config.get("sliding_window")),
        )
    except (StopIteration, RuntimeError, TypeError, ValueError):
        return None


def weights_of(build: Build, dtype: str, *, packed: bool) -> int:
    """Weights of a decoder like Llama's. Packed layers keep no table in common with the embedding."""
    d, head = build.width, build.head_width
    tables = build.vocabulary * d * (1 if build.tied and not packed else 2)
    attention = d * head * (2 * build.heads + 2 * build.kv_heads)
    layer = attention + 3 * d * build.inner + 2 * d
    return (tables + build.layers * layer + d) * BYTES.get(dtype, 4)


def footprint(
    build: Build,
    dtype: str,
    *,
    weights: int,
    on_cpu: bool,
    shared: bool = True,
    token: int | None = None,
) -> Footprint:
    """The footprint of a model; ``token`` is what a token's keys and values were measured to take."""
    size = BYTES.get(dtype, 4)
    heads = build.heads * build.head_width
    # Residual, its float32 copies in the norms, queries, feed-forward: one layer at a time.
    layer = 4 * (6 * build.width + 4 * heads + 3 * build.inner)
    noise = 36 * build.width  # words of 64 bits, then look-ups in float32
    # Logits and a scaled or capped copy; for top-p probabilities, their order and their sums.
    logits = build.vocabulary * (2 * size + 28)
    token = token or 2 * build.layers * build.kv_heads * build.head_width * size
    scores = build.heads * (8 + size)
    fused = on_cpu and shared and not build.capped
    # A cache of a row's own grows by a copy of one layer, and its keys are repeated for all heads.
    copies = 0 if shared else 2 * heads * size + 2 * token // build.layers
    return Footprint(
        weights=weights,
        token=token,
        row=layer + noise + logits,
        score=copies + (0 if fused else scores),
        prefill=layer + 2 * heads * size,
        square=13 * build.heads if build.capped or not shared else 8 if build.slides else 0,
        fixed=40 * build.vocabulary,  # both KL estimators of one row, in float64
        shared=shared,
    )


@dataclass(frozen=True)
class MemoryPlan:
    """What may be used, what the model takes of it, and how many rows that lets live.

    budget_bytes: for everything, the weights included; None: not known, so not bounded.
    wanted_rows: most rows by the setting or its default.
    """

    budget_bytes: int | None
    footprint: Footprint
    wanted_rows: int

    @property
    def weights_bytes(self) -> int:
        """The model itself."""
        return self.footprint.weights

    @property
    def prefix_token_bytes(self) -> int:
        """Keys and values of one prompt token, for all its samples together."""
        return self.footprint.token

    @property
    def room(self) -> int | None:
        """What is left beside the weights."""
        if self.budget_bytes is None:
            return None
        return self.budget_bytes - self.footprint.weights - self.footprint.fixed

    @property
    def max_rows(self) -> int:
        """Rows of one short prompt and the default answer length that fit; 0 when none does."""
        if (room := self.room) is None:
            return self.wanted_rows
        usual = USUAL_PROMPT_TOKENS, USUAL_NEW_TOKENS
        return most_fitting(self.wanted_rows, lambda rows: self.need(rows, *usual) <= room)

    def need(self, rows: int, prompt_tokens: int, new_tokens: int) -> int:
        """Of so many samples of one prompt, from its forward pass to their end."""
        working = max(
            self.step_bytes(rows, prompt_tokens, new_tokens), self.prefill_bytes(prompt_tokens)
        )
        kept = self.suffix_bytes(rows, prompt_tokens, new_tokens)
        return self.prefix_bytes(prompt_tokens) + kept + working

    def prefix_bytes(self, prompt_tokens: int) -> int:
        """Kept for a prompt."""
        return prompt_tokens * self.footprint.token

    def suffix_bytes(self, rows: int, prompt_tokens: int, new_tokens: int) -> int:
        """Kept for so many rows, all of them with room for ``new_tokens``."""
        if not self.footprint.shared:
            return rows * (prompt_tokens + new_tokens) * self.footprint.token
        return rounded(rows) * rounded(new_tokens) * self.footprint.token

    def step_bytes(self, rows: int, prompt_tokens: int, new_tokens: int) -> int:
        """What rows of one prompt work with during a step."""
        each = self.footprint.row + (prompt_tokens + new_tokens) * self.footprint.score
        return rows * each

    def row_bytes(self, prompt_tokens: int, new_tokens: int) -> int:
        """Of one row among many: its own keys and values, and what it works with."""
        own = rounded(new_tokens) if self.footprint.shared else prompt_tokens + new_tokens
        return own * self.footprint.token + self.step_bytes(1, prompt_tokens, new_tokens)

    def prefill_bytes(self, prompt_tokens: int) -> int:
        """What a prompt's forward pass works with."""
        return prompt_tokens * (self.footprint.prefill + prompt_tokens * self.footprint.square)


def short_of_memory(plan: MemoryPlan) -> str:
    """What is wrong, and the cure, where two rows of a short prompt do not fit."""
    return (
        f"the model's weights take {said(plan.weights_bytes)}, and of the "
        f"{said(plan.budget_bytes or 0)} that may be used not enough is left to decode two "
        "samples: free memory on the device, raise PRELOGIT_MEMORY_GB (memory_gb) where it is set, "
        "or take a smaller model"
    )


def most_fitting(rows: int, fits: Callable[[int], bool]) -> int:
    """The largest number up to ``rows`` that fits, where fewer always fit as well; 0: not even 1."""
    return bisect_left(range(1, rows + 1), True, key=lambda count: not fits(count))


def rounded(count: int) -> int:
    """Suffixes are stored in slots whose number and length are multiples of this many."""
    return -(-count // SLOTS) * SLOTS
