from __future__ import annotations

import pytest
import torch

from prelogit.engine.offer import top_k
from prelogit.engine.pick import greedy


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("k", [1, 3, 10, 60])
def test_the_most_likely_come_first_and_of_equals_the_lower_id(dtype: torch.dtype, k: int) -> None:
    torch.manual_seed(k)
    logits = (3 * torch.randn(6, 50)).round().to(dtype)  # many ties, also over the edge
    offer = top_k(logits, k)
    for row, ids in zip(logits.tolist(), offer.token_ids.tolist(), strict=True):
        assert ids == [j for _, j in sorted((-logit, j) for j, logit in enumerate(row))][:k]
    want = logits.double().log_softmax(dim=-1).gather(1, offer.token_ids)
    torch.testing.assert_close(offer.log_p, want, rtol=1e-5, atol=1e-5)
    assert torch.equal(offer.token_ids[:, 0], greedy(logits))


def test_a_row_does_not_depend_on_those_beside_it_nor_on_threads() -> None:
    torch.manual_seed(0)
    logits = torch.randn(9, 5000)
    whole, before = top_k(logits, 7), torch.get_num_threads()
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            for row in range(9):
                alone = top_k(logits[row : row + 1], 7)
                assert torch.equal(alone.token_ids[0], whole.token_ids[row])
                assert torch.equal(alone.log_p[0], whole.log_p[row])
    finally:
        torch.set_num_threads(before)


def test_what_a_model_forbids_comes_last() -> None:
    logits = torch.full((2, 6), -torch.inf)
    logits[0, 3] = 1.0
    logits[1] = torch.arange(6.0)
    offer = top_k(logits, 3)
    assert offer.token_ids.tolist() == [[3, 0, 1], [5, 4, 3]]
    assert offer.log_p[0].tolist() == [0.0, -torch.inf, -torch.inf]
