"""AlpacaEval's format: instruction, output, generator."""

from __future__ import annotations

from typing import Any

from prelogit.data.answered import Answered


def alpaca(answered: Answered) -> dict[str, Any]:
    """``instruction`` is the prompt's text; several turns are written one after the other."""
    return {
        "instruction": answered.text,
        "output": answered.response,
        "generator": answered.generator,
    }
