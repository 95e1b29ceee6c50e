"""Which tokenizers a job may name."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter, ValidationError

from prelogit.core.errors import InputError
from prelogit.rewards.allowed_tokenizers import (
    EVERYTHING,
    RewardTokenizers,
    refuse_tokenizer_unless_allowed,
)


def refused(name: str, allowed: tuple[str, ...]) -> bool:
    try:
        refuse_tokenizer_unless_allowed(name, allowed)
    except InputError:
        return True
    return False


def test_the_refusal_names_field_and_cure_and_not_what_is_there() -> None:
    with pytest.raises(InputError, match="PRELOGIT_REWARD_TOKENIZERS") as error:
        refuse_tokenizer_unless_allowed("/etc/passwd", ("/models", "my-org/my-rm"))
    assert error.value.field == "reward.tokenizer"
    for hidden in ("/etc", "/models", "my-org"):
        assert hidden not in str(error.value)


@pytest.fixture
def models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Two folders, a link from the allowed one to the other; one is also seen from where we stand."""
    for name in ("models/rm", "secret/rm", "here/org"):
        (tmp_path / name).mkdir(parents=True)
    (tmp_path / "models/link").symlink_to(tmp_path / "secret/rm")
    (tmp_path / "secret/back").symlink_to(tmp_path / "models/rm")
    (tmp_path / "here/org/rm").symlink_to(tmp_path / "secret/rm")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path


def test_ids(models: Path) -> None:
    assert not refused("my-org/my-rm", ("my-org/my-rm",))
    assert not refused("my-org/my-rm", ("*",))
    assert not refused("gpt2", ("*",))
    assert refused("my-org/my-rm", ())
    assert refused("my-org/my-rm", ("my-org", "/"))


@pytest.mark.parametrize(
    "name",
    [
        "org/rm",
        "org",
        "./org/rm",
        "../secret/rm",
        "a/../b",
        "~/rm",
        "a/b/c",
        "-x",
        "a\0b",
        "/a\0b",
    ],
)
def test_what_may_be_a_path_is_no_id(models: Path, name: str) -> None:
    assert refused(name, ("*",))
    assert refused(name, ("*", str(models / "models")))


def test_folders(models: Path) -> None:
    allowed = (str(models / "models"),)
    assert not refused(f"{models}/models", allowed)
    assert not refused(f"{models}/models/rm", allowed)
    assert not refused(f"{models}/models/none-yet", allowed)
    assert not refused(f"{models}/secret/back", allowed)
    assert refused(f"{models}/secret/rm", allowed)
    assert refused(f"{models}/models-too/rm", allowed)
    assert refused(f"{models}/models/../secret/rm", allowed)
    assert refused(f"{models}/models/link", allowed)
    assert refused(f"{models}/models/rm", ("*",))
    assert not refused(f"{models}/secret/rm", EVERYTHING)
    assert not refused("my-org/my-rm", EVERYTHING)


def test_an_entry_that_means_nothing_is_refused() -> None:
    entries = TypeAdapter(RewardTokenizers)
    assert entries.validate_python(["*", "/models", "my-org/my-rm"])
    for wrong in ("models/*", "./models", "a/b/c", ""):
        with pytest.raises(ValidationError, match="Hugging Face id"):
            entries.validate_python([wrong])
