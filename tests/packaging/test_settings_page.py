"""docs/configuration.md: every setting, its default and who reads it."""

from __future__ import annotations

import re

from pydantic_settings import BaseSettings

import api.settings
import prelogit.launch.settings
import reward_service.settings
import workers.settings
from tests.packaging.pages import DOCS, ROOT, read, rows

READERS: dict[str, type[BaseSettings]] = {
    "up": prelogit.launch.settings.UpSettings,
    "gateway": api.settings.Settings,
    "worker": workers.settings.Settings,
    "reward": reward_service.settings.RewardSettings,
}
# Read without a settings class.
OTHERS = {
    "PRELOGIT_URL": "CLI, `Client`",
    "PRELOGIT_API_KEY": "CLI, `Client`",
    "PRELOGIT_PYTHON": "`scripts/install`",
}
# Defaults in words: (cell, values of the settings classes).
IN_WORDS = {
    "PRELOGIT_HOME": {"~/.prelogit"},
    "PRELOGIT_DATABASE_URL": {"", "None"},
    "PRELOGIT_REDIS_URL": {"redis://127.0.0.1:6379/0", "None"},
    "PRELOGIT_REWARD_URL": {"http://127.0.0.1:8100", "None"},
    "PRELOGIT_REWARD_URLS": {"()", "None"},
    "PRELOGIT_REWARD_TOKENIZERS": {"()", "None"},
    "PRELOGIT_WEBHOOK_URLS": {"('*',)"},
    "PRELOGIT_PICKLE_WEIGHTS": {"()"},
    "PRELOGIT_CORS_ORIGINS": {"()"},
    "PRELOGIT_ALLOWED_HOSTS": {"()"},
    "PRELOGIT_TRUST_REMOTE_CODE": {"()"},
    "PRELOGIT_REWARDS": {"(EmbeddingSpec(name='relevance', description=None, kind='embedding', "
                         "model=None, device='auto', dtype='float32', max_tokens=None),)"},
}  # fmt: skip


def documented() -> dict[str, list[str]]:
    """Rows of docs/configuration.md by variable: default, readers, meaning."""
    found: dict[str, list[str]] = {}
    for cells in rows(read(DOCS / "configuration.md")):
        if cells[0].startswith("`PRELOGIT_"):
            name = cells[0].strip("`")
            assert name not in found, f"{name} stands twice"
            found[name] = cells[1:]
    return found


def test_every_setting_is_documented_with_its_readers() -> None:
    wanted: dict[str, set[str]] = {}
    for reader, settings in READERS.items():
        for name in settings.model_fields:
            wanted.setdefault(f"PRELOGIT_{name.upper()}", set()).add(reader)
    told = {
        name: set(cells[1].split(", "))
        for name, cells in documented().items()
        if name not in OTHERS
    }
    assert told == wanted
    assert {name: cells[1] for name, cells in documented().items() if name in OTHERS} == OTHERS


def test_documented_defaults_are_the_real_ones() -> None:
    for name, (cell, readers, _) in documented().items():
        if name in OTHERS:
            continue
        field = name.removeprefix("PRELOGIT_").lower()
        real = {str(READERS[reader].model_fields[field].default) for reader in readers.split(", ")}
        if name in IN_WORDS:
            assert real == IN_WORDS[name]
            continue
        shown = "None" if cell == "unset" else cell.strip("`")
        numbers = {re.sub(r"\.0$", "", value) for value in real}
        assert shown in real | numbers, f"{name}: {shown} is not {real}"
        assert len(real) == 1, f"{name} has several defaults: {real}"


def test_no_variable_is_named_anywhere_that_is_not_documented() -> None:
    inside = {"PRELOGIT_STACK"}  # a mark between `prelogit up` and its own children
    known = set(documented()) | inside
    for folder in (*("api", "db", "prelogit", "reward_service", "workers"), "scripts", "docs"):
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in ("", ".py", ".md"):
                named_here = set(re.findall(r"\bPRELOGIT_[A-Z][A-Z_]*\b", read(path)))
                assert named_here <= known, f"{path}: {named_here - known}"
