"""A reward model and its tokenizer from a folder or the hub, with every weight accounted for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, NamedTuple

import torch

from prelogit.core.errors import ModelError
from prelogit.core.trust import UNTRUSTED, Trust

Dtype = Literal["auto", "float32", "bfloat16", "float16"]


class Checkpoint(NamedTuple):
    """A loaded model in evaluation mode. ``missing``: weights that the checkpoint lacks."""

    model: Any
    tokenizer: Any
    device: torch.device
    missing: frozenset[str]


def pick_device(device: str) -> torch.device:
    """``auto`` is the first GPU where there is one.

    Raises: ModelError: no such device.
    """
    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        picked = torch.device(device)
        torch.empty(0, device=picked)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        raise ModelError(
            f"the device {device!r} cannot be used here: set it to auto, cpu or cuda"
        ) from error
    return picked


def shown(name: str) -> str:
    """A model's name as users may see it: of a local folder only its last part."""
    return Path(name).name if _is_path(name) else name


def _is_path(name: str) -> bool:
    return name.startswith(("/", ".", "~")) or Path(name).is_dir()


def load_checkpoint(
    auto: Any, name: str, *, device: str, dtype: Dtype, trust: Trust = UNTRUSTED
) -> Checkpoint:
    """Model and tokenizer.

    Args:   auto: a transformers ``AutoModel…`` class. name: a folder or a hub id.
            dtype: ``auto`` is float32 on CPU and the checkpoint's own elsewhere.
            trust: what its files may do.
    Raises: ModelError: not found, not readable, or of another shape than its configuration.
    """
    from transformers import AutoTokenizer

    where = pick_device(device)
    folder = Path(name).expanduser()
    if _is_path(name) and not folder.is_dir():
        raise ModelError(
            f"there is no folder {shown(name)!r} with a reward model: correct the path"
        )
    source = str(folder) if folder.is_dir() else name
    wanted = "float32" if dtype == "auto" and where.type == "cpu" else dtype
    try:
        with _no_progress_bar():
            model, loading = auto.from_pretrained(
                source, dtype=wanted, output_loading_info=True, **trust.of_weights
            )
            tokenizer = AutoTokenizer.from_pretrained(source, trust_remote_code=trust.remote_code)
        model = model.to(where)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        untrusted = trust.needed(f"the reward model {shown(name)!r}", error)
        if untrusted is not None:
            raise ModelError(untrusted) from error
        raise ModelError(
            f"the reward model {shown(name)!r} cannot be loaded ({type(error).__name__}): give a "
            "Hugging Face id that this machine can reach or has in its cache, or a local folder "
            "with config.json, tokenizer and weights that match each other"
        ) from error
    model.eval().requires_grad_(False)
    missing = set(loading["missing_keys"]) | {key for key, *_ in loading["mismatched_keys"]}
    return Checkpoint(model, tokenizer, where, frozenset(missing))


def checkpoint_file(name: str, file: str) -> Path | None:
    """A file beside the weights (``config.json``, …), None when the model has no such file."""
    from transformers.utils.hub import cached_file

    folder = Path(name).expanduser()
    try:
        found = cached_file(
            str(folder) if folder.is_dir() else name,
            file,
            _raise_exceptions_for_missing_entries=False,
            _raise_exceptions_for_connection_errors=False,
        )
    except OSError:
        return None
    return Path(found) if found else None


def length_limit(model: Any, tokenizer: Any) -> int | None:
    """Most tokens that the model reads, None where nothing says so."""
    limits = []
    positions = getattr(model.config.get_text_config(), "max_position_embeddings", None)
    if isinstance(positions, int) and positions > 0:
        # RoBERTa and its kin keep the first places of the table for padding.
        table = getattr(getattr(model.base_model, "embeddings", None), "position_embeddings", None)
        reserved = getattr(table, "padding_idx", None)
        limits.append(positions if reserved is None else positions - reserved - 1)
    if tokenizer.model_max_length < 10**9:  # transformers writes 1e30 for "not known"
        limits.append(int(tokenizer.model_max_length))
    return min(limits) if limits else None


@contextmanager
def _no_progress_bar() -> Iterator[None]:
    """Loading is silent; what the process had chosen is put back."""
    from transformers.utils import logging

    if not logging.is_progress_bar_enabled():
        yield
        return
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.enable_progress_bar()  # type: ignore[no-untyped-call]
