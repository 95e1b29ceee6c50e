"""Supervised fine-tuning: conversations that end with the best answer."""

from __future__ import annotations

from typing import Any

from prelogit.data.answered import Answered


def sft(answered: Answered) -> dict[str, Any]:
    """``messages``: the prompt's, and the answer as the assistant's."""
    answer = {"role": "assistant", "content": answered.response}
    return {"messages": [*answered.messages, answer]}
