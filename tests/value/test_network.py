"""The closed gradient is autograd's, and climbing raises the value."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from prelogit.value.network import ValueNet, ascend, gradient, untrained


@pytest.fixture
def net() -> ValueNet:
    made = untrained(12, 20, seed=3)
    torch.manual_seed(1)
    return replace(
        made,
        first_bias=torch.randn(20),
        second_bias=torch.randn(20),
        third_bias=torch.tensor(0.5),
        mean=4.0,
        std=2.0,
    )


def test_the_gradient_is_autograds(net: ValueNet) -> None:
    hidden = torch.randn(7, 12, requires_grad=True)
    net.standardised(hidden).sum().backward()
    with torch.inference_mode():
        mine = gradient(hidden.detach(), net.maps(), net.third)
    assert hidden.grad is not None
    torch.testing.assert_close(mine, hidden.grad)


def test_climbing_is_gradient_ascent_with_the_given_rate(net: ValueNet) -> None:
    start = torch.randn(5, 12)
    want = start.clone().requires_grad_()
    climber = torch.optim.SGD([want], lr=0.05)
    for _ in range(9):
        climber.zero_grad()
        (-net.standardised(want).sum()).backward()
        climber.step()
    got = ascend(start, net.maps(), net.third, 0.05, 9)
    torch.testing.assert_close(got, want.detach())
    assert (net.standardised(got) > net.standardised(start)).all()
    assert torch.equal(ascend(start, net.maps(), net.third, 0.05, 0), start)


def test_the_reward_is_told_in_its_own_units(net: ValueNet) -> None:
    hidden = torch.randn(3, 4, 12)
    assert net.reward(hidden).shape == (3, 4)
    torch.testing.assert_close(net.reward(hidden), 4.0 + 2.0 * net.standardised(hidden))


def test_an_untrained_network_is_a_function_of_its_seed() -> None:
    one, again, other = (untrained(6, 8, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(one.first, again.first)
    assert not torch.equal(one.first, other.first)
    assert (one.dim, one.width) == (6, 8)
