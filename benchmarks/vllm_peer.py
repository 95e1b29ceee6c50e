"""vLLM as a peer in a process and a venv of its own; see ``decode`` for how to install it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from benchmarks.rounds import Stopwatch, Timing

CHILD = Path(__file__).with_name("vllm_child.py")


class VllmPeer:
    """One loaded model; a context manager that ends the process."""

    def __init__(self, python: Path, model: str, dtype: str, **numbers: int) -> None:
        options = [str(x) for name, value in numbers.items() for x in (f"--{name}", value)]
        self._process = subprocess.Popen(
            # -P: the child's folder holds modules whose names its libraries may use.
            [str(python), "-P", str(CHILD), "--model", model, "--dtype", dtype, *options],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            self._answer()  # "ready"
        except RuntimeError:
            self._end()
            raise

    def __enter__(self) -> VllmPeer:
        return self

    def __exit__(self, *_: object) -> None:
        self._end()

    def _end(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if self._process.stdout is not None:
            self._process.stdout.close()

    def run(
        self, token_ids: list[int], n: int, tokens: int, *, cold: bool
    ) -> tuple[Timing, list[list[int]]]:
        """One call of n samples; times are the child's own.

        Raises: RuntimeError: the child has died.
        """
        asked = {"token_ids": token_ids, "n": n, "tokens": tokens, "cold": cold}
        if self._process.stdin is None:
            raise RuntimeError("vLLM has no stdin")
        self._process.stdin.write(json.dumps(asked) + "\n")
        self._process.stdin.flush()
        told = self._answer()
        return Timing(told["wall"], told["cpu"]), told["token_ids"]

    def laps(self, watch: Stopwatch, token_ids: list[int], n: int, tokens: int) -> list[list[int]]:
        """Laps "vllm" (with its prefill) and "vllm decode" (the prompt is in its prefix cache)."""
        whole, _ = self.run(token_ids, n, tokens, cold=True)
        decode, decoded = self.run(token_ids, n, tokens, cold=False)
        watch.record("vllm", whole)
        watch.record("vllm decode", decode)
        return decoded

    def _answer(self) -> dict[str, Any]:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            code = self._process.wait()
            raise RuntimeError(f"vLLM's process ended with {code}; its messages stand above")
        answer: dict[str, Any] = json.loads(line)
        return answer
