"""States come back as they were stored, and never mixed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prelogit.core.errors import InputError
from prelogit.core.records import ModelRef
from prelogit.value.states import has_states, packed_states, read_states, shard, write_states
from tests.value.conftest import SCORED, SOURCE, made


def test_states_come_back_without_what_follows_an_end(tmp_path: Path) -> None:
    hidden = torch.arange(24.0).reshape(2, 3, 4)
    states = packed_states("a/b ü", hidden, torch.tensor([1, 3]), torch.tensor([0.5, -2.0]))
    assert states.hidden.tolist() == [hidden[0, 0].tolist(), *hidden[1].tolist()]
    write_states(tmp_path, states, SCORED, "text")
    (back,), source = read_states(tmp_path)
    assert source == SCORED
    assert back.prompt == "a/b ü"
    assert torch.equal(back.hidden, states.hidden)
    assert (back.length.tolist(), back.rewards.tolist()) == ([1, 3], [0.5, -2.0])


def test_numbers_beyond_16_bits_are_not_lost(tmp_path: Path) -> None:
    states = made(1)
    states.hidden[0, 0] = 1e6
    write_states(tmp_path, states, SCORED, "text")
    (back,), _ = read_states(tmp_path)
    assert torch.equal(back.hidden, states.hidden)


def test_a_collection_knows_what_it_has(tmp_path: Path) -> None:
    assert not has_states(tmp_path, "p1", SOURCE, "text")
    write_states(tmp_path, made(1), SCORED, "text")
    assert has_states(tmp_path, "p1", SOURCE, "text")
    assert not has_states(tmp_path, "p2", SOURCE, "text")
    with pytest.raises(InputError, match=r"another text under the prompt id 'p1'"):
        has_states(tmp_path, "p1", SOURCE, "other")
    with pytest.raises(InputError, match=r"states of n 8, not 4: ask the same again"):
        has_states(tmp_path, "p1", SOURCE.model_copy(update={"n": 4}), "text")
    renewed = SOURCE.model_copy(update={"model": ModelRef(name="tiny", fingerprint="other")})
    with pytest.raises(InputError, match=r"model tiny \(abc\), not tiny \(other\)"):
        has_states(tmp_path, "p1", renewed, "text")


def test_rewards_are_not_mixed(tmp_path: Path) -> None:
    write_states(tmp_path, made(1), SCORED, "text")
    other = SCORED.model_copy(update={"reward": ModelRef(name="other")})
    with pytest.raises(InputError, match=r"reward r \(f\), not other \(None\)"):
        write_states(tmp_path, made(2), other, "text")
    assert len(read_states(tmp_path)[0]) == 1


def test_what_cannot_be_read_is_told(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="`prelogit value collect` makes them"):
        read_states(tmp_path)
    write_states(tmp_path, made(1), SCORED, "text")
    path = shard(tmp_path, "p1")
    path.write_bytes(path.read_bytes()[:-5])
    with pytest.raises(InputError, match="delete the file"):
        read_states(tmp_path)
