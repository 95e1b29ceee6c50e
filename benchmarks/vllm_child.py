"""vLLM with our noise on its pre-logits, driven over stdin and stdout; runs in vLLM's own venv.

A line in is ``{"token_ids": [...], "n": 32, "tokens": 64, "cold": true}``, a line out
``{"wall": s, "cpu": s, "token_ids": [[...]]}``. ``cold`` forgets the prompt's cached blocks first;
without it vLLM's prefix cache keeps them, as it would from iteration to iteration.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import sys
import time
from typing import Any


def _settle(threads: int, gigabytes: int) -> None:
    """What vLLM reads from the environment; one process, so that its CPU time is all its own."""
    os.environ.update(
        VLLM_ENABLE_V1_MULTIPROCESSING="0",
        VLLM_USE_V2_MODEL_RUNNER="0",
        VLLM_CPU_KVCACHE_SPACE=str(gigabytes),
        VLLM_CPU_OMP_THREADS_BIND=os.environ.get("VLLM_CPU_OMP_THREADS_BIND", "nobind"),
        VLLM_LOGGING_LEVEL="ERROR",
        VLLM_NO_USAGE_STATS="1",
        OMP_NUM_THREADS=str(threads),
    )


def _steering(noise: Any, sigma: float) -> tuple[type, Any]:
    """A logits processor that knows each row's sample and step, and the head's new first half."""
    import torch
    from vllm.v1.sample.logits_processor import LogitsProcessor  # type: ignore[import-not-found]
    from vllm.v1.sample.logits_processor.builtin import process_dict_updates  # type: ignore[import-not-found]

    class Steering(LogitsProcessor):  # type: ignore[misc]
        rows: dict[int, tuple[int, list[int]]] = {}  # noqa: RUF012 - row -> sample, its tokens

        def __init__(self, *_: Any) -> None:
            Steering.rows = {}

        def is_argmax_invariant(self) -> bool:
            return False

        def update_state(self, batch_update: Any) -> None:
            process_dict_updates(Steering.rows, batch_update, self._new)

        @staticmethod
        def _new(params: Any, _: Any, output: list[int]) -> tuple[int, list[int]] | None:
            sample = (params.extra_args or {}).get("sample")
            return None if sample is None else (sample, output)

        def apply(self, logits: Any) -> Any:
            return logits

    def steered(model: Any) -> None:
        head = model.compute_logits

        def compute_logits(hidden: Any, *args: Any, **kwargs: Any) -> Any:
            rows = sorted(row for row in Steering.rows if row < len(hidden))
            if rows:
                sample = torch.tensor([Steering.rows[row][0] for row in rows])
                step = torch.tensor([len(Steering.rows[row][1]) + 1 for row in rows])
                names = noise.rows_of(seed=0, prompt="p", iteration=1, sample=sample, step=step)
                v = sigma * noise.normal_rows(names, hidden.shape[-1])
                hidden = hidden.index_add(0, torch.tensor(rows), v.to(hidden.dtype))
            return head(hidden, *args, **kwargs)

        model.compute_logits = compute_logits

    return Steering, steered


def main() -> None:
    """Load, say ready, then answer line by line until stdin ends."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--model", required=True)
    parser.add_argument("--dtype", required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--length", type=int, required=True, help="most tokens of one sequence")
    parser.add_argument("--rows", type=int, required=True)
    parser.add_argument("--gigabytes", type=int, default=2, help="for keys and values")
    parser.add_argument("--sigma2", type=float, default=0.5)
    args = parser.parse_args()
    # Answers leave by the real stdout; whatever vLLM prints goes to stderr.
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    _settle(args.threads, args.gigabytes)

    import torch
    from vllm import LLM, SamplingParams  # type: ignore[import-not-found]
    from vllm.inputs import TokensPrompt  # type: ignore[import-not-found]

    from prelogit import noise

    processor, steer = _steering(noise, math.sqrt(args.sigma2))
    llm = LLM(
        model=args.model,
        dtype=args.dtype,
        skip_tokenizer_init=True,
        max_model_len=args.length,
        max_num_seqs=args.rows,
        enable_prefix_caching=True,
        logits_processors=[processor],
        seed=0,
    )
    torch.set_num_threads(args.threads)
    llm.apply_model(steer)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        asked = json.loads(line)
        if asked.get("cold"):
            llm.reset_prefix_cache()
        params = [
            SamplingParams(
                temperature=0.0,
                max_tokens=asked["tokens"],
                ignore_eos=True,
                detokenize=False,
                extra_args={"sample": i},
            )
            for i in range(asked["n"])
        ]
        prompt = TokensPrompt(prompt_token_ids=asked["token_ids"])
        start, cpu = time.perf_counter(), time.process_time()
        outs = llm.generate([prompt] * asked["n"], params, use_tqdm=False)
        told = {
            "wall": time.perf_counter() - start,
            "cpu": time.process_time() - cpu,
            "token_ids": [list(out.outputs[0].token_ids) for out in outs],
        }
        print(json.dumps(told), file=answers, flush=True)


if __name__ == "__main__":
    main()
