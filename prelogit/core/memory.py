"""How much memory decoding takes, as arithmetic: no model is loaded and no device is asked.

What decoding holds: the weights; the keys and values of each prompt, once for all of its
samples; room for those of each sample's own tokens; and, while a step runs, the noise, the
hidden states and the logits of each row. The first three are exact, the last is an upper
estimate. Where steps are CUDA graphs, memory is in buckets, live prompts are kept twice, and what
draws tokens keeps what it works with. All sizes are in bytes.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

from prelogit.core import buckets
from prelogit.core.build import BYTES, Build

ROWS = {"cpu": 128, "other": 256}  # rows decoded together when nothing is set
GB = 10**9
# What rows are counted with before a job is known: its defaults, and a short prompt.
USUAL_PROMPT_TOKENS = 64
USUAL_NEW_TOKENS = 64
SLOTS = 16


class Footprint(NamedTuple):
    """What the parts of one loaded model take.

    token: keys and values of one token in all layers. row: what one row works with in a step.
    score: what it works with besides for each token that it attends to. prefill: what a
    prompt works with for each of its tokens; square: for each pair of its tokens. fixed: once.
    shared: a prompt's keys and values are kept once; else every row has its own copy beside.
    graphs: steps are captured as CUDA graphs. drawn: what is kept for a row then, to draw its tokens.
    """

    weights: int
    token: int
    row: int
    score: int
    prefill: int
    square: int
    fixed: int
    shared: bool
    graphs: bool = False
    drawn: int = 0


def said(size: int) -> str:
    """Bytes as a user reads them."""
    for unit, name in ((GB, "GB"), (10**6, "MB"), (1000, "kB")):
        if abs(size) >= unit:
            return f"{size / unit:,.1f} {name}"
    return f"{size} bytes"


# A nucleus that noise decides in is cut after so many tokens: its tail would cost memory for
# tokens that hardly ever win. Their weights are looked at for so many pairs of row and token at a time.
NUCLEUS, PAIRS = 64, 256


def footprint(
    build: Build,
    dtype: str,
    *,
    weights: int,
    on_cpu: bool,
    shared: bool = True,
    graphs: bool = False,
    token: int | None = None,
) -> Footprint:
    """The footprint of a model.

    Args: graphs: its steps are captured as CUDA graphs. token: what a token's keys and values were
          measured to take.
    """
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
    # Of noise in the model's own shape: its moments, and the numbers of the widest nucleus.
    shaped = 16 * build.width + min(NUCLEUS, build.vocabulary) * 160
    # Hidden state and logits in the model's numbers, the mean in float32, and 60 bytes of numbers.
    drawn = build.width * (size + 4) + build.vocabulary * size + 60 if graphs else 0
    # Of each captured step the last hidden states and the numbers that it is fed.
    steps = buckets.GRAPHS * (build.width * size + 64) if graphs else 0
    return Footprint(
        weights=weights,
        token=token,
        row=layer + noise + shaped + logits + steps,
        score=copies + (0 if fused else scores),
        prefill=layer + 2 * heads * size,
        square=13 * build.heads if build.capped or not shared else 8 if build.slides else 0,
        # Both KL estimators of one row, in float64; and the output weights that noise in the model's
        # own shape looks at, with what is computed of them.
        fixed=40 * build.vocabulary + min(PAIRS, build.vocabulary) * build.width * 40,
        shared=shared,
        graphs=graphs,
        drawn=drawn,
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
            self.step_bytes(self.padded(rows), prompt_tokens, new_tokens),
            self.prefill_bytes(prompt_tokens),
        )
        kept = self.suffix_bytes(rows, prompt_tokens, new_tokens)
        kept += self.copies_bytes(1, prompt_tokens)
        return self.prefix_bytes(prompt_tokens) + kept + working

    def prefix_bytes(self, prompt_tokens: int) -> int:
        """Kept for a prompt."""
        return prompt_tokens * self.footprint.token

    def suffix_bytes(self, rows: int, prompt_tokens: int, new_tokens: int) -> int:
        """Kept for so many rows, all of them with room for ``new_tokens``."""
        if self.footprint.graphs:
            suffixes = buckets.suffix_tokens(rows, new_tokens) * self.footprint.token
            return suffixes + self.padded(rows) * self.footprint.drawn
        if not self.footprint.shared:
            return rows * (prompt_tokens + new_tokens) * self.footprint.token
        return rounded(rows) * rounded(new_tokens) * self.footprint.token

    def copies_bytes(self, prompts: int, longest: int) -> int:
        """Kept for so many live prompts a second time, the longest of so many tokens."""
        if not self.footprint.graphs:
            return 0
        return buckets.prompt_tokens(prompts, longest) * self.footprint.token

    def padded(self, rows: int) -> int:
        """Rows that a step of so many computes."""
        return buckets.halfway(rows, buckets.ROWS) if self.footprint.graphs else rows

    def step_bytes(self, rows: int, prompt_tokens: int, new_tokens: int) -> int:
        """What rows of one prompt work with during a step."""
        each = self.footprint.row + (prompt_tokens + new_tokens) * self.footprint.score
        return rows * each

    def row_bytes(self, prompt_tokens: int, new_tokens: int) -> int:
        """Of one row among many: its own keys and values, and what it works with."""
        own = rounded(new_tokens) if self.footprint.shared else prompt_tokens + new_tokens
        if self.footprint.graphs:
            own = buckets.whole(new_tokens, buckets.SUFFIX)
        kept = own * self.footprint.token + self.footprint.drawn
        return kept + self.step_bytes(1, prompt_tokens, new_tokens)

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
