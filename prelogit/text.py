"""From a prompt to token ids, without torch: the gateway counts with what the worker decodes.

The tokenizer is read through the ``tokenizers`` backend class itself, because
``AutoTokenizer`` imports torch.
"""

from __future__ import annotations

import json
import os
from functools import lru_cache
from pathlib import Path
from typing import Any

from prelogit.core.errors import InputError, ModelError
from prelogit.wire.jobs import PromptItem

EMBEDDED = "smollm2-135m"


def home_folder(home: Path | str | None = None) -> Path:
    """Where embedded data and prepared models live: the argument, else PRELOGIT_HOME, else ~/.prelogit.

    Services pass what their settings say; the environment is the library's default alone.
    """
    return Path(home or os.environ.get("PRELOGIT_HOME") or "~/.prelogit").expanduser()


def model_folder(name: str, *, home: Path | str | None = None) -> str:
    """A local folder, or the hub id as it is; the embedded alias means its prepared folder."""
    if name == EMBEDDED:
        return str(home_folder(home) / "models" / EMBEDDED)
    return str(Path(name).expanduser()) if Path(name).expanduser().is_dir() else name


@lru_cache(maxsize=8)
def _load(folder: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    return PreTrainedTokenizerFast.from_pretrained(folder, trust_remote_code=False)


def load_tokenizer(name: str, *, home: Path | str | None = None) -> Any:
    """The fast tokenizer of a model.

    Returns: a ``PreTrainedTokenizerFast``.
    Raises:  ModelError: the model is not prepared, or has no ``tokenizer.json``.
    """
    folder = model_folder(name, home=home)
    if name == EMBEDDED and not (Path(folder) / "tokenizer.json").is_file():
        raise ModelError(
            f"the embedded model {EMBEDDED} is not prepared yet: start the stack with `prelogit up`, "
            "or run `python -m prelogit.engine.embedded`"
        )
    _config(name, home)
    try:
        return _load(folder)
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no tokenizer can be read for the model {name!r}: it must be a Hugging Face id or a "
            "folder that holds a tokenizer.json"
        ) from error


def conversation(item: PromptItem) -> list[dict[str, str]]:
    """The prompt as messages; plain text is one user message."""
    if item.messages is not None:
        return [message.model_dump() for message in item.messages]
    return [{"role": "user", "content": item.prompt or ""}]


def encode(tokenizer: Any, item: PromptItem, template: str = "chat") -> list[int]:
    """Token ids of a prompt, ready to be answered.

    With ``template="chat"`` the model's own chat template frames the conversation and opens
    the assistant's turn; a base model without one gets the plain text. ``"none"`` sends the
    text as it is (messages are joined by line breaks).
    Raises: InputError: nothing is left to decode from, or the template refuses the roles.
    """
    messages = conversation(item)
    if template == "chat" and tokenizer.chat_template:
        try:
            text = tokenizer.apply_chat_template(
                messages, add_generation_prompt=True, tokenize=False
            )
        except Exception as error:  # templates raise whatever their author chose
            raise InputError(
                f"the model's chat template refuses this conversation ({error}): "
                'change the roles, or send "template": "none"',
                field="messages",
            ) from error
        ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    else:
        text = "\n".join(message["content"] for message in messages)
        ids = tokenizer(text)["input_ids"]
    if not ids:
        raise InputError("the prompt has no tokens: give it some text", field="prompt")
    return [int(token) for token in ids]


def _config(name: str, home: Path | str | None) -> dict[str, Any]:
    """The model's config.json, from its folder or the hub (asked once, before anything larger)."""
    folder = model_folder(name, home=home)
    local = Path(folder) / "config.json"
    try:
        if not local.is_file():
            from huggingface_hub import hf_hub_download

            local = Path(hf_hub_download(folder, "config.json"))
        config: dict[str, Any] = json.loads(local.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(
            f"no config.json can be read for the model {name!r}: give a Hugging Face id that this "
            "machine can reach or has in its cache, or a local folder"
        ) from error
    return config


def context_length(name: str, *, home: Path | str | None = None) -> int | None:
    """Most tokens (prompt and answer together) that the model's configuration allows, if it says."""
    config = _config(name, home)
    text = config.get("text_config") or config
    for key in ("max_position_embeddings", "n_positions", "max_sequence_length", "seq_length"):
        if isinstance(text.get(key), int):
            return int(text[key])
    return None
