"""What is cut on this side fits, loses no more than it must, and keeps what the score needs."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prelogit.core.errors import InputError
from prelogit.rewards.load import load_reward
from prelogit.rewards.servers.fitting import fit_pair, fit_text, largest
from tests import tiny
from tests.rewards.servers import fakes
from tests.rewards.servers.conftest import CONVERSATION


@given(st.integers(0, 300), st.integers(-1, 300))
def test_the_largest_that_fits(top: int, border: int) -> None:
    assert largest(top, lambda kept: kept <= border) == min(top, border)


@pytest.mark.parametrize("limit", [1, 2, 5, 11])
def test_a_text_keeps_as_much_as_fits(tokenizer: Any, limit: int) -> None:
    text = "abcdefghij"  # a token a letter, and BOS
    kept = min(limit - 1, len(text))
    assert fit_text(tokenizer, text, limit, "right", 0) == text[:kept]
    assert fit_text(tokenizer, text, limit, "left", 0) == text[len(text) - kept :]


def test_a_pair_loses_on_one_side_only(tokenizer: Any) -> None:
    pair = ("abcdef", "uvwxyz")  # two more tokens are special
    assert fit_pair(tokenizer, pair, 14, "refuse", 0) == pair
    assert fit_pair(tokenizer, pair, 10, "right", 0) == ("abcdef", "uv")
    assert fit_pair(tokenizer, pair, 10, "left", 0) == ("ef", "uvwxyz")
    with pytest.raises(InputError, match="response 3 "):
        fit_pair(tokenizer, pair, 13, "refuse", 3)
    with pytest.raises(InputError, match="the question of response 3 fills the 8"):
        fit_pair(tokenizer, pair, 8, "right", 3)


@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("text", ["x" * 400, "Grüße \U0001f600 " * 40])
async def test_with_tokens_of_bytes_the_server_reads_no_more_than_was_said(
    serve: Any, reply: Any, side: str, text: str
) -> None:
    bytewise = tiny.tokenizer()
    async with serve(fakes.openrlhf(reply, bytewise, limit=120)) as server:
        reward = load_reward(
            server.url, protocol="openrlhf", tokenizer=bytewise, max_tokens=120, truncation=side
        )
        scored = await reward([CONVERSATION, CONVERSATION], ["No.", text])
    sent = server.seen[0].json["query"][1]
    ids = bytewise(sent, add_special_tokens=False)["input_ids"]
    assert 110 < len(ids) <= 120
    assert ids[-1] == bytewise.eos_token_id
    assert scored.rewards.tolist()[1] == fakes.worth(ids)
    assert scored.truncated == (False, True)
