"""The datasets that a finished job can become, by the name that the CLI carries."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from prelogit.data.alpaca import alpaca
from prelogit.data.answered import Answered
from prelogit.data.preference import preference
from prelogit.data.sft import sft

# None: this prompt gives no row.
FORMATS: dict[str, Callable[[Answered], dict[str, Any] | None]] = {
    "sft": sft,
    "preference": preference,
    "alpaca": alpaca,
}
