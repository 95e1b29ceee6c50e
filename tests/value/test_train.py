"""Training finds what there is to learn, the same every time, and says how well."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prelogit.core.errors import InputError
from prelogit.value.file import read_value
from prelogit.value.fit import Fitting, targets
from prelogit.value.states import write_states
from prelogit.value.train import train_value, trained_value
from tests.value.conftest import SCORED, made

SHORT = Fitting(epochs=40, learning_rate=0.01, width=16)


def test_the_reward_is_told_from_pre_logits_of_prompts_that_were_held_out(home: Path) -> None:
    told: list[int] = []
    trained = train_value(
        "good", home=home, fitting=SHORT, on_epoch=lambda number, _: told.append(number)
    )
    header = trained.header
    assert header.explained > 0.7
    assert (header.prompts, header.responses, header.layers) == (8, 64, 3)
    assert (header.dim, header.width) == (6, 16)
    assert (header.model, header.reward) == (SCORED.model, SCORED.reward)
    assert told == list(range(1, len(header.curve) + 1))
    errors = [epoch.held_out for epoch in header.curve]
    assert errors[header.epoch - 1] == min(errors)
    assert header.curve[-1].loss < header.curve[0].loss
    net, _ = read_value(trained.path)
    fresh = made(99, n=200)
    last = fresh.length.cumsum(0) - 1
    apart = (net.reward(fresh.hidden[last]) - fresh.rewards).square().mean()
    assert float(apart) < 0.4 * float(fresh.rewards.var())


def test_the_bellman_target_learns_as_well(home: Path) -> None:
    trained = train_value("good", home=home, fitting=SHORT._replace(decay=0.0))
    assert trained.header.explained > 0.5


def test_the_same_seed_gives_the_same_network(home: Path) -> None:
    one = read_value(train_value("good", home=home, fitting=SHORT).path)
    again = read_value(train_value("good", home=home, fitting=SHORT).path)
    other = read_value(train_value("good", home=home, fitting=SHORT._replace(seed=1)).path)
    assert one[1] == again[1]
    assert torch.equal(one[0].second, again[0].second)
    assert not torch.equal(one[0].second, other[0].second)


def test_a_reward_of_another_scale_gives_the_same_gradient(tmp_path: Path) -> None:
    nets = []
    for name, scale in (("small", 1.0), ("large", 128.0)):
        for prompt in range(4):
            states = made(prompt)
            scaled = states._replace(rewards=states.rewards * scale)
            write_states(tmp_path / "values" / name, scaled, SCORED, "text")
        nets.append(read_value(train_value(name, home=tmp_path, fitting=SHORT).path)[0])
    torch.testing.assert_close(nets[1].first, nets[0].first)
    torch.testing.assert_close(nets[1].third, nets[0].third)
    assert nets[1].std == pytest.approx(128 * nets[0].std)


def test_training_ends_when_held_out_prompts_gain_nothing(home: Path) -> None:
    fitting = SHORT._replace(epochs=500, patience=3)
    header = train_value("good", home=home, fitting=fitting).header
    assert len(header.curve) == header.epoch + 3 < 500


def test_targets_with_decay_0_fit_the_last_pre_logit_alone_to_the_reward() -> None:
    value = torch.tensor([[1.0, 2.0, 3.0], [4.0, 5.0, 6.0]])
    mask = torch.tensor([[True, True, True], [True, True, False]])
    reward = torch.tensor([10.0, 20.0])
    assert targets(value, mask, reward, 0.0)[mask].tolist() == [2.0, 3.0, 10.0, 5.0, 20.0]
    assert targets(value, mask, reward, 1.0)[mask].tolist() == [10.0, 10.0, 10.0, 20.0, 20.0]
    half = targets(value, mask, reward, 0.5)[mask].tolist()
    assert half == [4.25, 6.5, 10.0, 12.5, 20.0]


def test_what_cannot_be_learned_is_told(tmp_path: Path) -> None:
    folder = tmp_path / "values" / "tied"
    write_states(folder, made(0, scale=0.0), SCORED, "text")
    with pytest.raises(InputError, match="states of two prompts"):
        train_value("tied", home=tmp_path)
    write_states(folder, made(1, scale=0.0), SCORED, "text")
    with pytest.raises(InputError, match="tie at 7"):
        train_value("tied", home=tmp_path)
    with pytest.raises(InputError, match="value collect"):
        train_value("nothing", home=tmp_path)
    with pytest.raises(InputError, match="no name"):
        train_value("../tied", home=tmp_path)
    with pytest.raises(InputError, match=r"decay 2 is out of range"):
        train_value("tied", home=tmp_path, fitting=Fitting(decay=2))


def test_a_value_is_trained_anew_only_when_states_or_settings_are_other(home: Path) -> None:
    first = trained_value("good", SHORT, home=home)
    written = first.path.stat().st_mtime_ns
    assert trained_value("good", SHORT, home=home) == first
    assert first.path.stat().st_mtime_ns == written
    assert trained_value("good", SHORT._replace(seed=1), home=home) != first
    again = trained_value("good", SHORT, home=home)
    assert again == first
    write_states(home / "values" / "good", made(77), SCORED, "text 77")
    assert trained_value("good", SHORT, home=home).header.states != first.header.states
