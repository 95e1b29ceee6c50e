"""Rows of tokens through a reward model: one number a row, whatever else is in its batch.

What rows begin with alike is read once, where the model can keep it (``sharing``).

Dimensions: n items, B rows of a batch, L tokens.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from transformers.cache_utils import Cache

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted.padding import batches, pad
from prelogit.rewards.hosted.prefixes import WORTH, Group, group_by_prefix
from prelogit.rewards.hosted.rendering import Render, Row
from prelogit.rewards.hosted.sharing import Sharing, continued, find_sharing, read_beginning

log = logging.getLogger("prelogit.rewards")

ROWS = 32
TOKENS = 16_384  # of a batch, read in one pass
KEPT = 4 * TOKENS  # of a batch together with the beginning that each of its rows looks back at
GOLDEN = ("Yes.", "No, and here is why: it rains.", "Rain falls. " * 12)


class Reader(NamedTuple):
    """A loaded reward model. ``read``: its answer to a batch -> f64[B] on CPU.

    ``sharing``: how rows share a beginning, None where each is read whole.
    """

    model: Any
    device: torch.device
    read: Callable[[Any], Tensor]
    sharing: Sharing | None = None


def read_rows(reader: Reader, rows: Sequence[Row]) -> Tensor:
    """f64[n] on CPU, in order. A row that stands there twice is read once."""
    place_of: dict[tuple[int, ...], int] = {}
    different: list[Row] = []
    for row in rows:
        if place_of.setdefault(key_of(row), len(different)) == len(different):
            different.append(row)
    return _read(reader, different, worth=WORTH)[[place_of[key_of(row)] for row in rows]]


def key_of(row: Row) -> tuple[int, ...]:
    """What of a row moves its score."""
    return (*row.ids, *(row.types or ()))


def share(reader: Reader, render: Render) -> Reader:
    """The reader, whose rows share a beginning where its model can do that and scores alike.

    Why another one cannot, the log says once.
    """
    found = find_sharing(reader.model)
    if isinstance(found, Sharing):
        sharing = reader._replace(sharing=found)
        rows = _golden(render)
        try:
            alone = torch.cat([_alone(reader, row) for row in rows])
            if _alike(_read(sharing, rows, worth=1), alone, reader.model.dtype):
                return sharing
            found = "its scores are others then"
        except Exception as error:  # noqa: BLE001 - whatever a model raises that cannot
            found = f"its forward fails then ({type(error).__name__})"
    log.info(
        "the %s reward reads a prompt anew for each response: %s",
        reader.model.config.model_type,
        found,
    )
    return reader


def refuse_unless_alone_is_as_in_a_batch(reader: Reader, render: Render) -> None:
    """Scores a few texts one by one, as the model itself does, and together.

    Raises: ModelError: the scores differ by more than the rounding of the dtype.
    """
    rows = _golden(render)
    together = _forward(reader, rows)
    alone = torch.cat([_alone(reader, row) for row in rows])
    if not _alike(together, alone, reader.model.dtype):
        raise ModelError(
            f"the reward model scores {[round(v, 4) for v in alone.tolist()]} for three texts one by "
            f"one, but {[round(v, 4) for v in together.tolist()]} in a batch: correct pad_token_id in "
            "its config.json (it must be the token that padding uses), or use float32"
        )


def _golden(render: Render) -> list[Row]:
    user = [{"role": "user", "content": "Is it raining?"}]
    return [render(user, text, place) for place, text in enumerate(GOLDEN)]


def _alike(scores: Tensor, alone: Tensor, dtype: torch.dtype) -> bool:
    """Within the rounding of the dtype; NaN is not."""
    slack = 1e-3 if dtype == torch.float32 else 5e-2
    allowed = slack * float(alone.abs().max()) + slack * 1e-3
    return float((scores - alone).abs().max()) <= allowed


def _read(reader: Reader, rows: Sequence[Row], *, worth: int) -> Tensor:
    """f64[n] of rows that all differ. ``worth``: see ``group_by_prefix``."""
    scores = torch.empty(len(rows), dtype=torch.float64)
    for group in _groups(reader, rows, worth):
        read = rows[group.places[0]].ids[: group.prefix]
        rests = [len(rows[place].ids) - group.prefix for place in group.places]
        begun = _begin(reader, read) if read else None
        most = min(ROWS, KEPT // (len(read) + max(rests))) if read else ROWS
        for batch in batches(rests, rows=max(most, 1), tokens=TOKENS):
            places = [group.places[each] for each in batch]
            scores[places] = _forward(reader, [rows[place] for place in places], begun)
    return scores


def _groups(reader: Reader, rows: Sequence[Row], worth: int) -> list[Group]:
    """Of rows that share a beginning; one of all where the model cannot."""
    if reader.sharing is None or not rows:
        return [Group(list(range(len(rows))), 0)] if rows else []
    own = [_longest_beginning(reader, row.ids) for row in rows]
    return group_by_prefix([row.ids for row in rows], own, worth=worth)


def _longest_beginning(reader: Reader, ids: Sequence[int]) -> int:
    """How many tokens of a row may be read before the rest.

    A classifier reads the score at the last token that is not its padding token, and a row may
    itself end with that: where the score is read belongs to the rest.
    """
    padding = reader.model.config.get_text_config().pad_token_id
    last = len(ids) - 1
    while last > 0 and ids[last] == padding:
        last -= 1
    return last


class _Begun(NamedTuple):
    """A beginning that was read: its tokens, and what the model keeps of them."""

    tokens: int
    cache: Cache


def _begin(reader: Reader, ids: Sequence[int]) -> _Begun:
    assert reader.sharing is not None  # noqa: S101 - rows are grouped only then
    given, mask = pad([ids], 0, reader.device)
    with torch.inference_mode():
        return _Begun(len(ids), read_beginning(reader.model, reader.sharing, given, mask))


def _forward(reader: Reader, rows: Sequence[Row], begun: _Begun | None = None) -> Tensor:
    """The scores [B] of one right-padded batch, whose rows may go on from a beginning."""
    config = reader.model.config.get_text_config()
    own = config.pad_token_id
    fill = own if own is not None else _unlike_the_last(rows)
    first = begun.tokens if begun is not None else 0
    ids, mask = pad([row.ids[first:] for row in rows], fill, reader.device)
    inputs: dict[str, Any] = {"input_ids": ids, "attention_mask": mask}
    if rows[0].types is not None:
        types = [row.types or [] for row in rows]
        inputs["token_type_ids"] = pad(types, 0, reader.device)[0]
    if begun is not None and reader.sharing is not None:
        inputs |= continued(reader.sharing, begun.cache, begun.tokens, mask)
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
