from __future__ import annotations

import pytest

from prelogit.metrics.diversity import diversity


def test_diversity_is_the_product_of_distinct_shares() -> None:
    assert diversity([1, 2, 3, 4, 5]) == 1.0
    # 2-grams: 12 21 12 21 -> 2 of 4; 3-grams: 121 212 121 -> 2 of 3; 4-grams: 1212 2121 -> 2 of 2.
    assert diversity([1, 2, 1, 2, 1]) == pytest.approx(2 / 4 * 2 / 3)
    assert diversity([7] * 9) == pytest.approx(1 / 8 * 1 / 7 * 1 / 6)
    assert diversity([1, 2, 3]) is None
