from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from prelogit.engine import pick


def test_greedy_is_argmax_and_takes_the_first_of_equals() -> None:
    torch.manual_seed(0)
    for vocabulary in (512, 500):
        logits = torch.randn(7, vocabulary)
        logits[0, [100, 300]] = 9.0
        logits[1, [260, 261]] = 9.0
        want = [
            max(range(vocabulary), key=lambda j, row=row: (row[j], -j)) for row in logits.tolist()
        ]
        assert pick.greedy(logits).tolist() == want


@given(
    st.integers(0, 2**31),
    st.integers(2, 60),
    st.floats(0.2, 2.0),
    st.floats(0.05, 1.0),
)
def test_top_p_draws_from_the_nucleus_by_inversion(
    seed: int, vocabulary: int, temperature: float, mass: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    logits = 3 * torch.randn(1, vocabulary, generator=generator)
    points = (torch.arange(400, dtype=torch.float64) + 0.5) / 400
    got = pick.top_p(logits.expand(400, -1), temperature, mass, points)
    p = torch.softmax(logits[0] / temperature, dim=-1).double()
    order = sorted(range(vocabulary), key=lambda j: -float(p[j]))
    nucleus, total = [], 0.0
    for j in order:
        nucleus.append(j)
        total += float(p[j])
        if total >= mass - 1e-6:
            break
    counts = torch.bincount(got, minlength=vocabulary).double() / 400
    # One token may sit on the edge of the nucleus by rounding.
    assert set(got.tolist()) <= set(order[: len(nucleus) + 1])
    want = torch.zeros(vocabulary, dtype=torch.float64)
    want[nucleus] = p[nucleus] / p[nucleus].sum()
    assert float((counts - want).abs().max()) < 0.01
