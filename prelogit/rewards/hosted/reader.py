"""A reward model, and how it is written to, as a hosted reward."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted.checkpoint import Checkpoint, length_limit, shown
from prelogit.rewards.hosted.fingerprint import fingerprint
from prelogit.rewards.hosted.forward import (
    Reader,
    key_of,
    read_rows,
    refuse_unless_alone_is_as_in_a_batch,
    share,
)
from prelogit.rewards.hosted.rendering import (
    Render,
    RenderText,
    Row,
    chat_renderer,
    pair_renderer,
)
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored, Whole
from prelogit.rewards.hosted.truncation import Truncation
from prelogit.rewards.hosted.whole import text_renderer


class Writing(NamedTuple):
    """How items become rows. ``limit``: most tokens of a row, None where nothing says so.

    ``lenient``: as ``render``, but it refuses nothing that is too long.
    """

    render: Render
    lenient: Render
    render_text: RenderText | None  # None: it has no such form
    limit: int | None
    truncation: Truncation


def writing(
    loaded: Checkpoint, name: str, *, max_tokens: int | None, truncation: Truncation
) -> Writing:
    """By chat template where there is one, as a text pair for other encoders.

    Raises: ModelError: a decoder without a chat template.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    limits = [length_limit(loaded.model, loaded.tokenizer), max_tokens]
    limit = min((each for each in limits if each is not None), default=None)
    encoder = loaded.model.config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES
    texts = text_renderer(loaded.tokenizer, limit, truncation, encoder=encoder)
    if not (loaded.tokenizer.chat_template or encoder):
        raise ModelError(
            f"the tokenizer of the reward model {shown(name)!r} has no chat template, so how it wants "
            "to read a conversation is not known: set chat_template to the one it was trained with"
        )
    renderer = chat_renderer if loaded.tokenizer.chat_template else pair_renderer
    return Writing(
        render=renderer(loaded.tokenizer, limit, truncation),
        lenient=renderer(loaded.tokenizer, limit, "left"),
        render_text=texts,
        limit=limit,
        truncation=truncation,
    )


def refuse_missing_weights(loaded: Checkpoint, name: str, cure: str) -> None:
    """Raises: ModelError: a part of the model is not in the checkpoint."""
    if loaded.missing:
        raise ModelError(
            f"the checkpoint {shown(name)!r} lacks weights of its reward head or body "
            f"({', '.join(sorted(loaded.missing)[:3])}), so that they would be random numbers: {cure}"
        )


def host_reader(
    reader: Reader,
    written: Writing,
    loaded: Checkpoint,
    *,
    name: str,
    kind: str,
    model: str,
    description: str,
    settings: Mapping[str, object],
    labels: int = 1,
) -> HostedReward:
    """The reward, once a few texts have been scored alone and together.

    Args:   settings: what of the kind's own moves a score.
    Raises: ModelError: its scores change with the batch.
    """
    refuse_unless_alone_is_as_in_a_batch(reader, written.lenient)
    reader = share(reader, written.lenient)
    moving = {
        "kind": kind,
        **settings,
        "dtype": str(loaded.model.dtype),
        "limit": written.limit,
    }
    if written.truncation != "left":
        moving["truncation"] = written.truncation

    def score(conversations: Sequence[Conversation], responses: Sequence[str]) -> Scored:
        pairs = enumerate(zip(conversations, responses, strict=True))
        return _scored(reader, [written.render(before, text, at) for at, (before, text) in pairs])

    score_text = None
    if (render_text := written.render_text) is not None:

        def score_text(items: Sequence[Whole]) -> Scored:
            return _scored(reader, [render_text(item, at) for at, item in enumerate(items)])

    return HostedReward(
        name=name,
        kind=kind,
        description=description,
        fingerprint=fingerprint(model, loaded.model, loaded.tokenizer, moving),
        low=None,
        high=None,
        score=score,
        score_text=score_text,
        count_tokens=token_counter(loaded.tokenizer),
        labels=labels,
    )


def token_counter(tokenizer: Any) -> Any:
    """texts -> how many tokens each is, without special ones."""

    def count(texts: Sequence[str]) -> list[int]:
        rows = tokenizer(list(texts), add_special_tokens=False, verbose=False)["input_ids"]
        return [len(row) for row in rows]

    return count


def _scored(reader: Reader, rows: Sequence[Row]) -> Scored:
    tokens = []
    paid: set[tuple[int, ...]] = set()
    for row in rows:
        tokens.append(0 if key_of(row) in paid else len(row.ids))
        paid.add(key_of(row))
    return Scored(
        read_rows(reader, rows).tolist(),
        tokens,
        [row.truncated for row in rows],
        [len(row.ids) for row in rows],
    )
