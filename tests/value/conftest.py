"""States whose rewards a single pre-logit tells, from the first token or only at the end."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from prelogit.core.records import ModelRef
from prelogit.value.states import Source, States, packed_states, write_states

DIM = 6
SOURCE = Source(
    model=ModelRef(name="tiny", fingerprint="abc"),
    dim=DIM,
    n=8,
    temperature=1.0,
    top_p=1.0,
    max_new_tokens=5,
    seed=3,
)
SCORED = SOURCE.model_copy(update={"reward": ModelRef(name="r", fingerprint="f")})


def made(prompt: int, *, n: int = 8, scale: float = 1.0) -> States:
    """The reward is the last pre-logit's first coordinate; those before it are alike in part."""
    torch.manual_seed(prompt)
    hidden = torch.randn(n, 5, DIM)
    hidden[:, :, 0] = hidden[:, :1, 0] + 0.1 * hidden[:, :, 0]
    length = torch.randint(2, 6, (n,))
    last = hidden[torch.arange(n), length - 1, 0].double()
    return packed_states(f"p{prompt}", hidden, length, 7.0 + scale * last)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home folder with the states of ten prompts under the name "good"."""
    for prompt in range(10):
        write_states(tmp_path / "values" / "good", made(prompt), SCORED, f"text {prompt}")
    return tmp_path
