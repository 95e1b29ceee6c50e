from __future__ import annotations

import pytest
import torch

from prelogit.engine.work import Work
from prelogit.noise import standard_normal
from prelogit.search.plan import Gaussian, Greedy, NoiseKey, Plan, SearchId


@pytest.mark.parametrize("frozen", [0, 2])
@pytest.mark.parametrize("length", [1, 3, 5])
def test_noise_after_a_samples_end_counts_but_where_the_mean_is_frozen(
    frozen: int, length: int
) -> None:
    torch.manual_seed(0)
    mean, key = torch.randn(5, 12), NoiseKey(3, "p", 2)
    plan = Plan(1, Gaussian(mean, 0.7, key, frozen), Greedy(), 5)
    work = Work(SearchId("p"), plan, torch.device("cpu"))
    work.length[0] = length
    want = 0.0
    for step in range(max(length, frozen) + 1, 6):
        eps = standard_normal(seed=3, prompt="p", iteration=2, sample=0, step=step, dim=12)
        v = mean[step - 1] + 0.7 * eps
        want += float((v.double() * mean[step - 1].double()).sum())
    assert float(work.rollouts().u_dot_noise[0]) == pytest.approx(want, rel=1e-12)
