"""The gateway never loads torch: it starts fast and fits beside a model."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path


def test_the_gateway_loads_no_torch(model_folder: Path) -> None:
    program = f"""
import sys
import api.__main__, api.app
from api.catalog.models import ModelText
from prelogit.text import encode
from prelogit.wire.jobs import PromptItem
text = ModelText({str(model_folder)!r}, __import__("pathlib").Path("."))
assert encode(text.load().tokenizer, PromptItem(prompt="a b"), "chat")
heavy = [name for name in ("torch", "tensorflow", "jax") if name in sys.modules]
assert not heavy, heavy
"""
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=Path(__file__).parents[2],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
