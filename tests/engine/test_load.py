"""What cannot be loaded is told with the cure, before anything large is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from prelogit.core.errors import ModelError
from prelogit.engine.load import load_model


@pytest.mark.parametrize(
    ("options", "cure"),
    [
        ({"attention": "flash"}, "auto, shared, sdpa, eager"),
        ({"graphs": "on"}, "auto, off"),
        ({"dtype": "int8"}, "float32, bfloat16, float16"),
        ({"device": "cuda:99"}, "device cpu or auto"),
        ({"device": "gpu"}, "auto, cpu, cuda or cuda:N"),
        ({}, "local folder"),
    ],
)
def test_settings_and_folders_that_are_none(
    options: dict[str, Any], cure: str, tmp_path: Path
) -> None:
    with pytest.raises(ModelError, match=cure):
        load_model(str(tmp_path), **options)
