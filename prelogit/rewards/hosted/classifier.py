"""Reward models with a classification head: the raw logit of one label, without activation.

Dimensions: n items, B rows of a batch, L tokens, C labels.
"""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from typing import Any, NamedTuple

import torch
from torch import Tensor

from prelogit.core.errors import ModelError
from prelogit.rewards.hosted.checkpoint import (
    Checkpoint,
    Dtype,
    length_limit,
    load_checkpoint,
    shown,
)
from prelogit.rewards.hosted.fingerprint import fingerprint
from prelogit.rewards.hosted.padding import batches, pad
from prelogit.rewards.hosted.rendering import Render, Row, chat_renderer, pair_renderer
from prelogit.rewards.hosted.reward import Conversation, HostedReward, Scored

ROWS = 32
TOKENS = 16_384
GOLDEN = ("Yes.", "No, and here is why: it rains.", "Rain falls. " * 12)


class Classifier(NamedTuple):
    """A loaded reward model. ``label``: the column that is the reward."""

    model: Any
    device: torch.device
    render: Render
    label: int


def load_classifier(
    name: str,
    *,
    model: str,
    label: int | str | None = None,
    device: str = "auto",
    dtype: Dtype = "auto",
    max_tokens: int | None = None,
    chat_template: str | None = None,
    description: str | None = None,
) -> HostedReward:
    """A reward from any sequence classifier of Hugging Face.

    Args:   model: a folder or hub id. label: index or name, needed when there are several.
            max_tokens: most tokens of an item, None for the model's own limit.
            chat_template: Jinja text in place of the tokenizer's own.
    Raises: ModelError: cannot be loaded, its head is not in the checkpoint, its label is not
            chosen, or its scores change with the batch. Each names the cure.
    """
    from transformers import AutoModelForSequenceClassification

    loaded = load_checkpoint(AutoModelForSequenceClassification, model, device=device, dtype=dtype)
    if loaded.missing:
        raise ModelError(
            f"the checkpoint {shown(model)!r} lacks weights of its reward head or body "
            f"({', '.join(sorted(loaded.missing)[:3])}), so that they would be random numbers: name "
            "a trained reward model (AutoModelForSequenceClassification), not a language model"
        )
    if chat_template is not None:
        loaded.tokenizer.chat_template = chat_template
    limits = [length_limit(loaded.model, loaded.tokenizer), max_tokens]
    limit = min((each for each in limits if each is not None), default=None)
    column = pick_label(loaded.model.config, label)
    classifier = Classifier(loaded.model, loaded.device, _renderer(loaded, limit, model), column)
    refuse_unless_alone_is_as_in_a_batch(classifier)
    settings = {
        "kind": "classifier",
        "label": column,
        "dtype": str(loaded.model.dtype),
        "limit": limit,
    }
    return HostedReward(
        name=name,
        kind="classifier",
        description=description or f"the raw logit of {shown(model)}",
        fingerprint=fingerprint(model, loaded.model, loaded.tokenizer, settings),
        low=None,
        high=None,
        score=lambda conversations, responses: score(classifier, conversations, responses),
    )


def pick_label(config: Any, label: int | str | None) -> int:
    """The column of the logits that is the reward.

    Raises: ModelError: several labels and none chosen, or no such label; lists all.
    """
    names = {int(place): str(text) for place, text in config.id2label.items()}
    listed = ", ".join(f"{place} ({text})" for place, text in sorted(names.items()))
    if label is None:
        if len(names) == 1:
            return 0
        raise ModelError(
            f"the reward model has {len(names)} labels: set label to the one that is the reward, "
            f"one of {listed}"
        )
    for place, text in names.items():
        if label == text or (label == place and not isinstance(label, bool)):
            return place
    near = get_close_matches(str(label), names.values(), n=1)
    hint = f"did you mean {near[0]!r}? " if near else ""
    raise ModelError(f"the reward model has no label {label!r}: {hint}it has {listed}")


def score(
    classifier: Classifier, conversations: Sequence[Conversation], responses: Sequence[str]
) -> Scored:
    """Raw logits of the reward's label, in order.

    Raises: InputError: a conversation that the chat template refuses.
    """
    rows = [
        classifier.render(conversation, response, place)
        for place, (conversation, response) in enumerate(zip(conversations, responses, strict=True))
    ]
    return Scored(
        logits(classifier, rows).tolist(),
        [len(row.ids) for row in rows],
        [row.truncated for row in rows],
    )


def logits(classifier: Classifier, rows: Sequence[Row]) -> Tensor:
    """f64[n] on CPU."""
    scores = torch.empty(len(rows), dtype=torch.float64)
    for places in batches([len(row.ids) for row in rows], rows=ROWS, tokens=TOKENS):
        batch = [rows[place] for place in places]
        scores[places] = _forward(classifier, batch).to("cpu", torch.float64)
    return scores


def _forward(classifier: Classifier, rows: Sequence[Row]) -> Tensor:
    """The label's logits [B] of one right-padded batch."""
    config = classifier.model.config.get_text_config()
    own = config.pad_token_id
    fill = own if own is not None else _unlike_the_last(rows)
    inputs = dict(
        zip(
            ("input_ids", "attention_mask"),
            pad([row.ids for row in rows], fill, classifier.device),
            strict=True,
        )
    )
    if rows[0].types is not None:
        types = [row.types or [] for row in rows]
        inputs["token_type_ids"] = pad(types, 0, classifier.device)[0]
    config.pad_token_id = fill
    try:
        with torch.inference_mode():
            answer: Tensor = classifier.model(**inputs).logits
    finally:
        config.pad_token_id = own
    return answer[:, classifier.label]


def _unlike_the_last(rows: Sequence[Row]) -> int:
    """A padding id for a model that has none.

    Decoders read the score at the last token that is not padding, so padding must differ
    from the last token of every row. The usual choice, the end token, is the wrong one:
    rows end with it, and the score would be read one token too early.
    """
    last = {row.ids[-1] for row in rows if row.ids}
    return next(token for token in range(len(last) + 1) if token not in last)


def refuse_unless_alone_is_as_in_a_batch(classifier: Classifier) -> None:
    """Scores a few texts one by one, as the model itself does, and together.

    Raises: ModelError: the scores differ by more than the rounding of the dtype.
    """
    user = [{"role": "user", "content": "Is it raining?"}]
    rows = [classifier.render(user, text, place) for place, text in enumerate(GOLDEN)]
    together = _forward(classifier, rows).to("cpu", torch.float64)
    alone = torch.stack([_alone(classifier, row) for row in rows])
    slack = 1e-3 if classifier.model.dtype == torch.float32 else 5e-2
    allowed = slack * float(alone.abs().max()) + slack * 1e-3
    if not float((together - alone).abs().max()) <= allowed:  # NaN is refused too
        raise ModelError(
            f"the reward model scores {[round(v, 4) for v in alone.tolist()]} for three texts one by "
            f"one, but {[round(v, 4) for v in together.tolist()]} in a batch: correct pad_token_id in "
            "its config.json (it must be the token that padding uses), or use float32"
        )


def _alone(classifier: Classifier, row: Row) -> Tensor:
    """The label's logit of one row, without padding, mask or change of the configuration."""
    inputs = {"input_ids": torch.tensor([row.ids], device=classifier.device)}
    if row.types is not None:
        inputs["token_type_ids"] = torch.tensor([row.types], device=classifier.device)
    with torch.inference_mode():
        answer: Tensor = classifier.model(**inputs).logits
    return answer[0, classifier.label].to("cpu", torch.float64)


def _renderer(loaded: Checkpoint, limit: int | None, name: str) -> Render:
    """By chat template where there is one, as a text pair for other encoders.

    Raises: ModelError: a decoder without a chat template.
    """
    from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

    if loaded.tokenizer.chat_template:
        return chat_renderer(loaded.tokenizer, limit)
    if loaded.model.config.model_type in MODEL_FOR_MASKED_LM_MAPPING_NAMES:
        return pair_renderer(loaded.tokenizer, limit)
    raise ModelError(
        f"the tokenizer of the reward model {shown(name)!r} has no chat template, so how it wants to "
        "read a conversation is not known: set chat_template to the one it was trained with"
    )
