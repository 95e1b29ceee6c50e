from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from prelogit import text
from prelogit.core.errors import InputError, ModelError
from prelogit.wire.jobs import Message, PromptItem
from tests import tiny


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    tiny.tokenizer().save_pretrained(tmp_path)
    config = {"model_type": "llama", "max_position_embeddings": 99}
    (tmp_path / "config.json").write_text(json.dumps(config))
    return tmp_path


def test_plain_text_is_one_user_message_in_the_models_template(folder: Path) -> None:
    tokenizer = text.load_tokenizer(str(folder))
    plain = text.encode(tokenizer, PromptItem(prompt="Hé"))
    turns = PromptItem(messages=(Message(role="user", content="Hé"),))
    assert plain == text.encode(tokenizer, turns)
    assert tokenizer.decode(plain) == "<|user|>Hé<|end|><|assistant|>"
    raw = text.encode(tokenizer, PromptItem(prompt="Hé"), "none")
    assert tokenizer.decode(raw) == "Hé"
    assert text.context_length(str(folder)) == 99


def test_a_template_that_refuses_is_told(folder: Path) -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = "{{ raise_exception('no system turns here') }}"
    with pytest.raises(InputError, match="no system turns here"):
        text.encode(tokenizer, PromptItem(prompt="x"))


def test_a_base_model_without_a_template_gets_the_plain_text() -> None:
    tokenizer = tiny.tokenizer()
    tokenizer.chat_template = None
    assert tokenizer.decode(text.encode(tokenizer, PromptItem(prompt="abc"))) == "abc"


def test_missing_models_are_told_with_the_cure(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="prelogit up"):
        text.load_tokenizer(text.EMBEDDED, home=tmp_path)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(ModelError, match=r"tokenizer\.json"):
        text.load_tokenizer(str(tmp_path))


def test_the_home_is_the_argument_else_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PRELOGIT_HOME", str(tmp_path / "env"))
    assert text.home_folder() == tmp_path / "env"
    assert text.home_folder(tmp_path) == tmp_path
    monkeypatch.delenv("PRELOGIT_HOME")
    assert text.home_folder() == Path.home() / ".prelogit"


def test_counting_tokens_loads_no_torch(folder: Path) -> None:
    code = (
        "import sys; from prelogit import text; from prelogit.wire.jobs import PromptItem;"
        f"t = text.load_tokenizer({str(folder)!r}); text.encode(t, PromptItem(prompt='x'));"
        f"text.context_length({str(folder)!r}); assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
