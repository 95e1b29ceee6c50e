"""The fit itself: minibatches of whole responses, held-out errors, and the best epoch's network.

    target_t = (1 - decay) V(h_{t+1}) + decay target_{t+1},   target_T = r

Targets are not differentiated. With decay 0 this is the paper's Bellman target: only the last
pre-logit of a response is fitted to its reward, each other one to the value of the next. (The
published code takes the last place by ``mask.argmax``, which finds the first, and so fits the
reward where nothing has been said yet.) With decay 1 each pre-logit is fitted to the reward.

Dimensions: B responses of a batch, T pre-logits of the longest, d their width.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from prelogit.value.header import Epoch
from prelogit.value.network import ValueNet, untrained

OnEpoch = Callable[[int, Epoch], None]


class Fitting(NamedTuple):
    """How to fit: epochs at most, ended after ``patience`` of them without a better one.

    width: of the hidden layers, None: that of the pre-logits. held_out: share of the prompts.
    batch: responses a step. weight_decay: AdamW's.
    """

    epochs: int = 100
    patience: int = 10
    learning_rate: float = 1e-3
    weight_decay: float = 0.01
    decay: float = 1.0
    width: int | None = None
    held_out: float = 0.2
    batch: int = 64
    seed: int = 0


class Response(NamedTuple):
    """One response: its pre-logits f32[T, d], and its reward in standard deviations from the mean."""

    hidden: Tensor
    reward: float


class Fitted(NamedTuple):
    """The network of the best epoch, the errors of all, and which one that was, from 1."""

    net: ValueNet
    curve: tuple[Epoch, ...]
    best: int


class _Module(nn.Module):
    """The network while it is trained, on pre-logits that are centred and scaled.

    One scale for all coordinates: a scale of each would make the gradient point into the
    directions in which pre-logits hardly vary.
    """

    def __init__(self, start: ValueNet, centre: Tensor, scale: float) -> None:
        super().__init__()
        self.centre, self.scale = centre, scale
        self.first = nn.Parameter(start.first)
        self.first_bias = nn.Parameter(start.first_bias)
        self.second = nn.Parameter(start.second)
        self.second_bias = nn.Parameter(start.second_bias)
        self.third = nn.Parameter(start.third)
        self.third_bias = nn.Parameter(start.third_bias)

    def forward(self, hidden: Tensor) -> Tensor:
        one = torch.relu(((hidden - self.centre) / self.scale) @ self.first.T + self.first_bias)
        two = torch.relu(one @ self.second.T + self.second_bias)
        return two @ self.third + self.third_bias

    def net(self) -> ValueNet:
        """The same function of the pre-logits as they are: centre and scale go into the first layer."""
        first = self.first.detach() / self.scale
        return ValueNet(
            first.clone(),
            (self.first_bias.detach() - first @ self.centre).clone(),
            self.second.detach().clone(),
            self.second_bias.detach().clone(),
            self.third.detach().clone(),
            self.third_bias.detach().clone(),
        )


def fit(
    learn: Sequence[Response], test: Sequence[Response], fitting: Fitting, on_epoch: OnEpoch
) -> Fitted:
    """Fit to ``learn`` until the error on ``test`` has not fallen for ``patience`` epochs.

    Source: arXiv 2406.05954, section 4.2.
    """
    every = torch.cat([one.hidden for one in learn])
    centre = every.mean(dim=0)
    scale = float((every - centre).square().mean().sqrt()) or 1.0
    dim = every.shape[1]
    del every
    module = _Module(untrained(dim, fitting.width or dim, seed=fitting.seed), centre, scale)
    with torch.no_grad():
        module.third.mul_(0.1)  # so that it begins near the mean of the rewards
    optimiser = torch.optim.AdamW(
        module.parameters(), lr=fitting.learning_rate, weight_decay=fitting.weight_decay
    )
    shuffle = torch.Generator().manual_seed(fitting.seed)
    curve: list[Epoch] = []
    best, kept = 0, module.net()
    for number in range(1, fitting.epochs + 1):
        loss = _pass(module, learn, optimiser, fitting, shuffle)
        curve.append(Epoch(loss=loss, held_out=_error(module, test, fitting.batch)))
        on_epoch(number, curve[-1])
        if best == 0 or curve[-1].held_out < curve[best - 1].held_out:
            best, kept = number, module.net()
        elif number - best >= fitting.patience:
            break
    return Fitted(kept, tuple(curve), best)


def _pass(
    module: _Module,
    learn: Sequence[Response],
    optimiser: torch.optim.Optimizer,
    fitting: Fitting,
    shuffle: torch.Generator,
) -> float:
    """One epoch; its mean loss a pre-logit."""
    order = torch.randperm(len(learn), generator=shuffle).tolist()
    total, count = 0.0, 0
    for first in range(0, len(order), fitting.batch):
        hidden, mask, reward = _padded([learn[i] for i in order[first : first + fitting.batch]])
        value = module(hidden)
        target = targets(value.detach(), mask, reward, fitting.decay)
        squares = (value - target).square()[mask]
        optimiser.zero_grad()
        squares.mean().backward()
        optimiser.step()
        total += float(squares.detach().sum())
        count += len(squares)
    return total / count


@torch.no_grad()
def _error(module: _Module, test: Sequence[Response], batch: int) -> float:
    """Mean squared distance of each pre-logit's value from the reward, over the rewards' variance."""
    total, around, count = 0.0, 0.0, 0
    mean = sum(one.reward * len(one.hidden) for one in test) / sum(len(one.hidden) for one in test)
    for first in range(0, len(test), batch):
        hidden, mask, reward = _padded(test[first : first + batch])
        expanded = reward[:, None].expand_as(mask)[mask]
        total += float((module(hidden)[mask] - expanded).square().sum())
        around += float((expanded - mean).square().sum())
        count += len(expanded)
    return total / around if around > 0 else total / count


def _padded(responses: Sequence[Response]) -> tuple[Tensor, Tensor, Tensor]:
    """f32[B, T, d] with zeros after the end, bool[B, T] where there is none, f32[B]."""
    hidden = pad_sequence([one.hidden for one in responses], batch_first=True)
    length = torch.tensor([len(one.hidden) for one in responses])
    mask = torch.arange(hidden.shape[1])[None] < length[:, None]
    return hidden, mask, torch.tensor([one.reward for one in responses])


def targets(value: Tensor, mask: Tensor, reward: Tensor, decay: float) -> Tensor:
    """f32[B, T]: what each pre-logit's value is fitted to.

    Args: value: f32[B, T], now. mask: bool[B, T], True up to each end. reward: f32[B].
    """
    target = torch.zeros_like(value)
    length = mask.sum(dim=1)
    for t in reversed(range(value.shape[1])):
        last = length == t + 1
        if t + 1 < value.shape[1]:
            ahead = (1.0 - decay) * value[:, t + 1] + decay * target[:, t + 1]
        else:
            ahead = torch.zeros_like(reward)
        target[:, t] = torch.where(last, reward, ahead)
    return target
