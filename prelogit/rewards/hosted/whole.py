"""Whole items, to which no template is applied, as the rows that a reward model reads."""

from __future__ import annotations

from typing import Any

from prelogit.core.errors import InputError
from prelogit.rewards.hosted.rendering import RenderText, Row, opened, starts_special
from prelogit.rewards.hosted.reward import Whole
from prelogit.rewards.hosted.truncation import Truncation, cut_left


def text_renderer(
    tokenizer: Any, limit: int | None, truncation: Truncation = "left", *, encoder: bool = False
) -> RenderText:
    """Rows of whole texts and token ids.

    BOS is added where a text does not write it; ids stay as they are. With ``left`` an item that
    is too long loses its beginning, of an encoder its end. Nothing tells where a response ends in
    a whole item: with ``right`` one that is too long is refused.
    """
    segments = encoder and "token_type_ids" in tokenizer.model_input_names

    def render(item: Whole, place: int) -> Row:
        if isinstance(item, str):
            special = not opened(tokenizer, item)
            ids = tokenizer(item, add_special_tokens=special, verbose=False)["input_ids"]
        else:
            ids = list(item)
            if not all(0 <= token < len(tokenizer) for token in ids):
                raise InputError(
                    f"text {place} has a token id beyond the {len(tokenizer)} of the reward's "
                    "tokenizer: send text, or ids of its own tokenizer",
                    field=f"texts[{place}]",
                )
        if not ids:
            raise InputError(f"text {place} has no tokens: give a text", field=f"texts[{place}]")
        cut = limit is not None and len(ids) > limit
        if limit is not None and cut:
            if truncation != "left":
                raise InputError(
                    f"text {place} is {len(ids)} tokens, of which the reward model reads {limit}: "
                    'shorten it, or set the reward\'s truncation to "left"',
                    field=f"texts[{place}]",
                )
            if encoder:
                ids = [*ids[: limit - 1], ids[-1]]
            else:
                stays = starts_special(tokenizer, ids)
                ids = cut_left(ids, limit, opened=stays, borders=None, place=place)
        return Row(ids, [0] * len(ids) if segments else None, cut)

    return render
