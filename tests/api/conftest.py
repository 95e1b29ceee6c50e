"""A running gateway on each store, with a reward service's list and a tiny model."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings
from tests.api.running import RewardService, Running, Valkey, free_port

CONTEXT_LENGTH = 256
TEMPLATE = (
    "{% for m in messages %}{{ m['role'] }} {{ m['content'] }} {% endfor %}"
    "{% if add_generation_prompt %}assistant{% endif %}"
)


@pytest.fixture(scope="session")
def model_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model as far as the gateway sees one: a word is a token, 256 of them fit."""
    return save_words(tmp_path_factory.mktemp("model"))


def save_words(folder: Path) -> Path:
    """Writes that model into a folder."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    backend = Tokenizer(models.WordLevel({"[UNK]": 0, "assistant": 1}, unk_token="[UNK]"))
    backend.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, unk_token="[UNK]", chat_template=TEMPLATE
    )
    tokenizer.save_pretrained(folder)
    shape = {
        "max_position_embeddings": CONTEXT_LENGTH,
        "hidden_size": 8,
        "num_hidden_layers": 2,
        "num_attention_heads": 2,
        "num_key_value_heads": 1,
        "intermediate_size": 16,
        "vocab_size": 10,
        "tie_word_embeddings": True,
    }
    (folder / "config.json").write_text(json.dumps(shape))
    return folder


@pytest.fixture(scope="session")
def other_model(tmp_path_factory: pytest.TempPathFactory, model_folder: Path) -> str:
    """The name of a second model, which is the first one with half the context."""
    folder = tmp_path_factory.mktemp("other") / "model"
    shutil.copytree(model_folder, folder)
    shape = json.loads((folder / "config.json").read_text())
    shape |= {"max_position_embeddings": CONTEXT_LENGTH // 2, "hidden_size": 16}
    (folder / "config.json").write_text(json.dumps(shape))
    return str(folder)


@pytest.fixture(scope="session")
def reward_service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RewardService]:
    service = RewardService(tmp_path_factory.mktemp("rewards"))
    yield service
    service.stop()


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    valkey = Valkey(tmp_path)
    valkey.start()
    yield valkey
    valkey.kill()


Start = Callable[..., Running]


@pytest.fixture
def start(
    store_url: str, model_folder: Path, reward_service: RewardService, tmp_path: Path
) -> Iterator[Start]:
    """Starts gateways, by default without a queue and with a quiet reconciler."""
    running: list[Running] = []

    def begin(*, grace_seconds: int = 5, **changes: Any) -> Running:
        known: dict[str, Any] = {
            "home": tmp_path / "home",
            "database_url": store_url,
            "redis_url": f"redis://127.0.0.1:{free_port()}/0",
            "reward_url": reward_service.url,
            "model": str(model_folder),
            "max_new_tokens": 128,
            "poll_seconds": 0.02,
            "reconcile_seconds": 3600,
        }
        settings = Settings(_env_file=None, **{**known, **changes})
        running.append(Running(settings, grace_seconds=grace_seconds))
        return running[-1]

    with _outside_settings_ignored():
        yield begin
        for one in running:
            one.stop()


@contextmanager
def _outside_settings_ignored() -> Iterator[None]:
    kept = {name: value for name, value in os.environ.items() if name.startswith("PRELOGIT_")}
    for name in kept:
        del os.environ[name]
    yield
    os.environ.update(kept)


@pytest.fixture
def gateway(start: Start) -> Running:
    """A gateway with everything at its default."""
    return start()
