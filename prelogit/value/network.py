"""A three-layer value network on pre-logits, with its gradient in closed form.

    V(h) = w3 . relu(W2 relu(W1 h + b1) + b2) + b3        the reward, standardised

Decoding runs in inference mode, where autograd is not to be had; of so small a network the
gradient is two products more.

Dimensions: R rows, d width of the pre-logits, m width of the hidden layers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional

Linear = Callable[[Tensor], Tensor]


class Maps(NamedTuple):
    """The matrix products of the network, forth and back, however they are carried out."""

    first: Linear  # [R, d] -> [R, m], with its bias
    second: Linear  # [R, m] -> [R, m], with its bias
    second_back: Linear  # [R, m] -> [R, m], of the transposed weight
    first_back: Linear  # [R, m] -> [R, d], of the transposed weight


@dataclass(frozen=True, eq=False)
class ValueNet:
    """The numbers of a value network, f32 on CPU.

    mean, std: of the rewards it was fitted to. explained: R² on prompts that were held out.
    """

    first: Tensor  # [m, d]
    first_bias: Tensor  # [m]
    second: Tensor  # [m, m]
    second_bias: Tensor  # [m]
    third: Tensor  # [m]
    third_bias: Tensor  # []
    mean: float = 0.0
    std: float = 1.0
    explained: float | None = None
    # Whoever decodes keeps his own copies of the weights here, by device.
    placed: dict[str, object] = field(default_factory=dict, repr=False)

    @property
    def dim(self) -> int:
        """d, the width of the pre-logits."""
        return self.first.shape[1]

    @property
    def width(self) -> int:
        """m, the width of the hidden layers."""
        return self.first.shape[0]

    def maps(self) -> Maps:
        """The ordinary products."""
        return Maps(
            lambda x: functional.linear(x, self.first, self.first_bias),
            lambda x: functional.linear(x, self.second, self.second_bias),
            lambda x: functional.linear(x, self.second.T),
            lambda x: functional.linear(x, self.first.T),
        )

    def standardised(self, hidden: Tensor) -> Tensor:
        """f32[..]: V of pre-logits [.., d], in standard deviations of the reward from its mean."""
        maps = self.maps()
        inner = torch.relu(maps.second(torch.relu(maps.first(hidden.float()))))
        return inner @ self.third + self.third_bias

    def reward(self, hidden: Tensor) -> Tensor:
        """f32[..]: the same, in units of the reward."""
        return self.mean + self.std * self.standardised(hidden)


def gradient(hidden: Tensor, maps: Maps, third: Tensor) -> Tensor:
    """f32[R, d]: dV/dh of the standardised value; at a kink the side where the unit is off."""
    one = maps.first(hidden)
    two = maps.second(torch.relu(one))
    back = maps.second_back(third * (two > 0))
    return maps.first_back(back * (one > 0))


def ascend(hidden: Tensor, maps: Maps, third: Tensor, rate: float, steps: int) -> Tensor:
    """f32[R, d]: ``hidden`` [R, d] after so many steps h <- h + rate * dV/dh.

    The value is the standardised one, so that a rate means the same whatever the reward's scale.
    Source: arXiv 2406.05954, section 4.3.
    """
    hidden = hidden.float()
    for _ in range(steps):
        hidden = hidden + rate * gradient(hidden, maps, third)
    return hidden


def untrained(dim: int, width: int, *, seed: int) -> ValueNet:
    """A network as training begins with it (He et al., 2015); the same seed gives the same."""
    generator = torch.Generator().manual_seed(seed)

    def normal(*shape: int) -> Tensor:
        return torch.randn(*shape, generator=generator) * math.sqrt(2.0 / shape[-1])

    zeros = torch.zeros(width)
    third = torch.randn(width, generator=generator) / math.sqrt(width)
    return ValueNet(
        normal(width, dim), zeros, normal(width, width), zeros.clone(), third, torch.zeros(())
    )
