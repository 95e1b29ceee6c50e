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


@given(
    st.integers(0, 2**31),
    st.integers(65, 600),
    st.floats(0.1, 6.0),
    st.floats(0.05, 0.999),
    st.booleans(),
    st.sampled_from([None, 1, 20, 64]),
)
def test_a_nucleus_is_the_smallest_set_whatever_rows_stand_beside(
    seed: int, vocabulary: int, spread: float, mass: float, coarse: bool, widest: int | None
) -> None:
    """Narrow rows and wide ones in one call; coarse logits tie often."""
    generator = torch.Generator().manual_seed(seed)
    logits = spread * torch.randn(11, vocabulary, generator=generator)
    logits[::3] *= 0.1  # wide: hundreds of tokens
    if coarse:
        logits = logits.bfloat16()
    found = pick.nucleus(logits, 0.7, mass, widest=widest)
    for row in range(11):
        p = torch.softmax(logits[row].float() / 0.7, dim=-1).double()
        order = p.sort(descending=True).values
        want = int((order.cumsum(0) < mass - 1e-6).sum()) + 1
        most = int((order.cumsum(0) < mass + 1e-6).sum()) + 1
        if widest is not None:
            want, most = min(want, widest), min(most, widest)
        count = int(found.last[row]) + 1
        assert want <= count <= most
        ids = found.ids[row, :count]
        assert len(set(ids.tolist())) == count
        torch.testing.assert_close(found.probability[row, :count], p[ids], rtol=1e-5, atol=1e-9)
        torch.testing.assert_close(p[ids], order[:count], rtol=1e-5, atol=1e-9)
        alone = pick.nucleus(logits[row : row + 1], 0.7, mass, widest=widest)
        assert int(alone.last) + 1 == count
        assert alone.ids[0, :count].equal(ids)
        assert alone.probability[0, :count].equal(found.probability[row, :count])


def test_of_equally_likely_tokens_the_lower_ids_come_first() -> None:
    logits = torch.zeros(2, 100)
    logits[:, [70, 30, 50]] = 5.0
    assert pick.likeliest(logits, 4)[:, :3].tolist() == [[30, 50, 70]] * 2
