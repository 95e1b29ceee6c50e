"""Rows of tokens through a reward model: one number a row, whatever else is in its batch.

Dimensions: n items, B rows of a batch, L tokens.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted.padding import batches, pad
from prelogit.rewards.hosted.rendering import Render, Row

ROWS = 32
TOKENS = 16_384
GOLDEN = ("Yes.", "No, and here is why: it rains.", "Rain falls. " * 12)


class Reader(NamedTuple):
    """A loaded reward model. ``read``: its answer to a batch -> f64[B] on CPU."""

    model: Any
    device: torch.device
    read: Callable[[Any], Tensor]


def read_rows(reader: Reader, rows: Sequence[Row]) -> Tensor:
    """f64[n] on CPU, in order."""
    scores = torch.empty(len(rows), dtype=torch.float64)
    for places in batches([len(row.ids) for row in rows], rows=ROWS, tokens=TOKENS):
        scores[places] = _forward(reader, [rows[place] for place in places])
    return scores


def refuse_unless_alone_is_as_in_a_batch(reader: Reader, render: Render) -> None:
    """Scores a few texts one by one, as the model itself does, and together.

    Raises: ModelError: the scores differ by more than the rounding of the dtype.
    """
    user = [{"role": "user", "content": "Is it raining?"}]
    rows = [render(user, text, place) for place, text in enumerate(GOLDEN)]
    together = _forward(reader, rows)
    alone = torch.cat([_alone(reader, row) for row in rows])
    slack = 1e-3 if reader.model.dtype == torch.float32 else 5e-2
    allowed = slack * float(alone.abs().max()) + slack * 1e-3
    if not float((together - alone).abs().max()) <= allowed:  # NaN is refused too
        raise ModelError(
            f"the reward model scores {[round(v, 4) for v in alone.tolist()]} for three texts one by "
            f"one, but {[round(v, 4) for v in together.tolist()]} in a batch: correct pad_token_id in "
            "its config.json (it must be the token that padding uses), or use float32"
        )


def _forward(reader: Reader, rows: Sequence[Row]) -> Tensor:
    """The scores [B] of one right-padded batch."""
    config = reader.model.config.get_text_config()
    own = config.pad_token_id
    fill = own if own is not None else _unlike_the_last(rows)
    inputs = dict(
        zip(
            ("input_ids", "attention_mask"),
            pad([row.ids for row in rows], fill, reader.device),
            strict=True,
        )
    )
    if rows[0].types is not None:
        types = [row.types or [] for row in rows]
        inputs["token_type_ids"] = pad(types, 0, reader.device)[0]
    config.pad_token_id = fill
    try:
        with torch.inference_mode():
            return _one_a_row(reader.read(reader.model(**inputs)), len(rows))
    finally:
        config.pad_token_id = own


def _unlike_the_last(rows: Sequence[Row]) -> int:
    """A padding id for a model that has none.

    Decoders read the score at the last token that is not padding, so padding must differ
    from the last token of every row. The usual choice, the end token, is the wrong one:
    rows end with it, and the score would be read one token too early.
    """
    last = {row.ids[-1] for row in rows if row.ids}
    return next(token for token in range(len(last) + 1) if token not in last)


def _alone(reader: Reader, row: Row) -> Tensor:
    """The score [1] of one row, without padding or change of the configuration."""
    ids, mask = pad([row.ids], 0, reader.device)
    inputs = {"input_ids": ids, "attention_mask": mask}
    if row.types is not None:
        inputs["token_type_ids"] = torch.tensor([row.types], device=reader.device)
    with torch.inference_mode():
        return _one_a_row(reader.read(reader.model(**inputs)), 1)


def _one_a_row(scores: Tensor, rows: int) -> Tensor:
    if scores.shape != (rows,):
        raise ModelError(
            f"the reward model answers {rows} texts with numbers of shape {list(scores.shape)}: it "
            "must give one number for each"
        )
    return scores
