"""A reward model's tokenizer, whose template writes BOS and which adds one itself."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

CONVERSATION = [
    {"role": "user", "content": "Hello."},
    {"role": "assistant", "content": "Yes?"},
    {"role": "user", "content": "Is it raining?"},
]


@pytest.fixture(scope="session")
def tokenizer() -> Any:
    from tests.rewards.conftest import letter_tokenizer

    return letter_tokenizer()


@pytest.fixture
def templated(tokenizer: Any) -> Callable[[str], list[int]]:
    """The tokens of CONVERSATION with a response: BOS once."""

    def write(response: str) -> list[int]:
        messages = [*CONVERSATION, {"role": "assistant", "content": response}]
        text = tokenizer.apply_chat_template(messages, tokenize=False)
        ids: list[int] = tokenizer(text, add_special_tokens=False)["input_ids"]
        assert ids.count(tokenizer.bos_token_id) == 1
        return ids

    return write


@pytest.fixture
def calls() -> Callable[..., Any]:
    """calls(responses) -> arguments of a Score."""

    def make(*responses: str) -> tuple[list[Any], list[str]]:
        return [CONVERSATION for _ in responses], list(responses)

    return make
