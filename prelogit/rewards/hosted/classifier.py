"""Reward models with a classification head: the raw logit of a label, without activation."""

from __future__ import annotations

from prelogit.core.trust import UNTRUSTED, Trust
from prelogit.rewards.hosted.checkpoint import Dtype, load_checkpoint, shown
from prelogit.rewards.hosted.forward import Reader
from prelogit.rewards.hosted.labels import Label, pick_columns
from prelogit.rewards.hosted.reader import host_reader, refuse_missing_weights, writing
from prelogit.rewards.hosted.reward import HostedReward
from prelogit.rewards.hosted.truncation import Truncation


def load_classifier(
    name: str,
    *,
    model: str,
    label: Label = None,
    device: str = "auto",
    dtype: Dtype = "auto",
    max_tokens: int | None = None,
    truncation: Truncation = "left",
    chat_template: str | None = None,
    description: str | None = None,
    trust: Trust = UNTRUSTED,
) -> HostedReward:
    """A reward from any sequence classifier of Hugging Face.

    Args:   model: a folder or hub id. label: index, name, or ``{name or index: weight}``;
            needed when there are several.
            max_tokens: most tokens of an item, None for the model's own limit.
            truncation: what becomes of a longer one.
            chat_template: Jinja text in place of the tokenizer's own.
            trust: what the model's files may do.
    Raises: ModelError: cannot be loaded, its head is not in the checkpoint, its label is not
            chosen, or its scores change with the batch. Each names the cure.
    """
    from transformers import AutoModelForSequenceClassification

    loaded = load_checkpoint(
        AutoModelForSequenceClassification, model, device=device, dtype=dtype, trust=trust
    )
    cure = "name a trained reward model (AutoModelForSequenceClassification), not a language model"
    refuse_missing_weights(loaded, model, cure)
    if chat_template is not None:
        loaded.tokenizer.chat_template = chat_template
    columns = pick_columns(loaded.model.config, label)
    written = writing(loaded, model, max_tokens=max_tokens, truncation=truncation)
    reader = Reader(loaded.model, loaded.device, lambda answer: columns.of(answer.logits))
    what = "the raw logit" if len(columns.places) == 1 else "a weighted sum of raw logits"
    return host_reader(
        reader,
        written,
        loaded,
        name=name,
        kind="classifier",
        model=model,
        description=description or f"{what} of {shown(model)}",
        settings={"label": columns.setting()},
        labels=columns.total,
    )
