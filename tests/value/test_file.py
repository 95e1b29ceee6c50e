"""A value file is used for the model it belongs to and for no other."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prelogit.core.errors import InputError
from prelogit.core.records import ModelRef
from prelogit.value.file import load_value, read_value, save_value
from prelogit.value.header import read_header, value_file, value_names
from prelogit.value.network import untrained
from tests.value.made import MODEL, header

HEADER = header()


@pytest.fixture
def stored(tmp_path: Path) -> Path:
    path = tmp_path / "values" / "polite" / "value.safetensors"
    save_value(path, untrained(6, 8, seed=1), HEADER)
    return path


def test_a_value_comes_back_by_name_and_by_path(stored: Path, tmp_path: Path) -> None:
    net, header = read_value(stored)
    assert header == HEADER
    assert torch.equal(net.second, untrained(6, 8, seed=1).second)
    assert (net.mean, net.std) == (2.0, 0.5)
    assert value_names(tmp_path) == ["polite"]
    for name in ("polite", str(stored), str(stored.parent)):
        got = load_value(name, model=MODEL, dim=6, home=tmp_path, paths=True)
        assert torch.equal(got.first, net.first)


def test_a_value_of_another_model_is_refused(stored: Path, tmp_path: Path) -> None:
    other = ModelRef(name="tiny", fingerprint="def")
    with pytest.raises(InputError, match=r"fingerprint abc, but tiny has def.*train") as told:
        load_value("polite", model=other, dim=6, home=tmp_path)
    assert told.value.field == "value"
    with pytest.raises(InputError, match=r"of width 6 .*, but the model's are 7 wide"):
        load_value("polite", model=MODEL, dim=7, home=tmp_path)


@pytest.mark.parametrize("value", ["../polite", "/etc/passwd", "a/b", "", ".hidden", "x" * 101])
def test_only_names_are_taken_where_paths_are_not_allowed(
    stored: Path, tmp_path: Path, value: str
) -> None:
    with pytest.raises(InputError, match="no name of a value"):
        value_file(value, tmp_path)


def test_what_is_not_there_is_told_with_the_cure(stored: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="there are polite: `prelogit value collect`"):
        value_file("rude", tmp_path)
    (tmp_path / "values" / "rude" / "states").mkdir(parents=True)
    with pytest.raises(InputError, match="`prelogit value train` makes it"):
        value_file("rude", tmp_path)
    with pytest.raises(InputError, match="check the path"):
        value_file(str(tmp_path / "nothing.safetensors"), tmp_path, paths=True)
    with pytest.raises(InputError, match="none has been trained"):
        value_file("rude", tmp_path / "elsewhere")


def test_a_file_that_is_none_is_refused(stored: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.safetensors"
    for content in (b"", b"not a file of tensors", b"\xff" * 16, (2).to_bytes(8, "little") + b"[]"):
        other.write_bytes(content)
        with pytest.raises(InputError, match="is no value file"):
            read_value(other)
    stored.write_bytes(stored.read_bytes()[:-8])
    with pytest.raises(InputError, match="is broken"):
        read_value(stored)


def test_a_head_that_is_nested_without_end_is_no_value_file(tmp_path: Path) -> None:
    head = b"[" * 100_000
    (tmp_path / "deep.safetensors").write_bytes(len(head).to_bytes(8, "little") + head)
    with pytest.raises(InputError, match="is no value file"):
        read_header(tmp_path / "deep.safetensors")
