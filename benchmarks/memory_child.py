"""Peak memory of one run in a process of its own; ``memory`` starts it and reads its JSON line."""

from __future__ import annotations

import argparse
import ctypes
import gc
import json
import re
from pathlib import Path

import torch

from benchmarks import models
from benchmarks.generating import generate
from benchmarks.steered import gaussian_plan, prefill, run_plan
from prelogit.search.plan import SearchId

_STATUS = Path("/proc/self/status")


class Gauge:
    """Bytes held now and at most: the GPU's allocator where there is one, else resident memory."""

    def __init__(self) -> None:
        self._cuda = torch.cuda.is_available()

    def held(self) -> int:
        """Now, once what is free has been given back to the system."""
        gc.collect()
        if self._cuda:
            return int(torch.cuda.memory_allocated())
        ctypes.CDLL(None).malloc_trim(0)
        return self._read("VmRSS")

    def reset(self) -> None:
        """Forget the peak so far."""
        if self._cuda:
            torch.cuda.reset_peak_memory_stats()
        else:
            Path("/proc/self/clear_refs").write_text("5", encoding="ascii")

    def peak(self) -> int:
        """Most since the last reset."""
        return int(torch.cuda.max_memory_allocated()) if self._cuda else self._read("VmHWM")

    @staticmethod
    def _read(key: str) -> int:
        found = re.search(rf"^{key}:\s+(\d+) kB", _STATUS.read_text(encoding="ascii"), re.MULTILINE)
        if found is None:
            raise RuntimeError(f"{_STATUS} says nothing of {key}")
        return 1024 * int(found[1])


def ours(args: argparse.Namespace) -> dict[str, int]:
    """Above the loaded model: the prompt's lasting part, and the peaks of prefill and decoding."""
    model = models.endless(models.ours(args.model, args.dtype, args.device, rows=max(args.n, 2)))
    vocabulary = model.module.config.get_text_config().vocab_size
    warm = model.engine()
    prefill(warm, "w", models.prompt_ids(vocabulary, 8), model.dim)
    run_plan(warm, SearchId("w"), gaussian_plan(2, 2, model.dim, prompt="w"))
    del warm
    gauge, engine = Gauge(), model.engine()
    before = gauge.held()
    gauge.reset()
    prefill(engine, "p", models.prompt_ids(vocabulary, args.length), model.dim)
    filling = gauge.peak()
    prefix = gauge.held()
    gauge.reset()
    run_plan(engine, SearchId("p"), gaussian_plan(args.n, args.tokens, model.dim, prompt="p"))
    decoding = gauge.peak()
    return {
        "prefix": prefix - before,
        "prefill": filling - before,
        "decode": decoding - before,
        "peak": max(filling, decoding) - before,
    }


def theirs(args: argparse.Namespace) -> dict[str, int]:
    """The peak of one ``generate`` call above the loaded model."""
    module = models.plain(args.model, args.dtype, args.device)
    vocabulary = module.config.get_text_config().vocab_size
    generate(module, models.prompt_ids(vocabulary, 8), 2, 2, masked=False)
    gauge = Gauge()
    before = gauge.held()
    gauge.reset()
    ids = models.prompt_ids(vocabulary, args.length)
    generate(module, ids, args.n, args.tokens, masked=False)
    return {"peak": gauge.peak() - before}


def main() -> None:
    """Run one of the two and print its bytes."""
    parser = argparse.ArgumentParser(description=__doc__)
    models.add_options(parser)
    parser.add_argument("--who", choices=("ours", "generate"), required=True)
    parser.add_argument("--dtype", choices=models.DTYPES, required=True)
    for name in ("length", "n", "tokens"):
        parser.add_argument(f"--{name}", type=int, required=True)
    args = parser.parse_args()
    models.set_threads(args.threads)
    print(json.dumps(ours(args) if args.who == "ours" else theirs(args)))


if __name__ == "__main__":
    main()
