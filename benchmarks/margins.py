"""AISP's best reward against both best-of-n forms at equal samples, paired prompt by prompt.

    python -m benchmarks.margins --prompts scripts/demo_prompts.jsonl --seeds 0 1 2 --out margins.json

Prints a table of mean best rewards and paired margins with their standard errors (over prompts
and seeds), and the mean reward of AISP's first and last round.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from prelogit.align import align
from prelogit.engine.load import load_model
from prelogit.rewards.load import load_reward
from prelogit.wire.params import AISP, BestOfN


def mean_and_error(values: list[float]) -> tuple[float, float]:
    """Mean, and its standard error."""
    return statistics.fmean(values), statistics.stdev(values) / len(values) ** 0.5


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, nargs="+", required=True)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--reward", default="relevance")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--tokens", type=int, default=32)
    parser.add_argument("--method", type=json.loads, default={}, help="AISP's parameters as JSON")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    prompts = [json.loads(line) for path in args.prompts for line in path.open()]
    model, reward = load_model(args.model, dtype=args.dtype), load_reward(args.reward)
    rows: list[dict[str, Any]] = []
    for seed in args.seeds:
        start = time.perf_counter()
        results = align(
            model,
            prompts,
            reward,
            method=AISP.model_validate(args.method),
            baselines=[BestOfN(), BestOfN(noise="gaussian")],
            max_new_tokens=args.tokens,
            seed=seed,
        )
        print(f"seed {seed}: {time.perf_counter() - start:.0f} s", flush=True)
        for result in results:
            if result.status != "succeeded":
                raise SystemExit(f"{result.prompt_id}: {result.error}")
            rows.append(
                {
                    "seed": seed,
                    "prompt": result.prompt_id,
                    "aisp": result.reward,
                    "bon": result.baselines[0].reward,
                    "bon_gaussian": result.baselines[1].reward,
                    "first": result.trace.iterations[0].mean,
                    "last": result.trace.iterations[-1].mean,
                    "samples": result.samples,
                }
            )
        if args.out:  # after every seed: a run that is cut short keeps what it has
            told = {"arguments": vars(args), "rows": rows}
            args.out.write_text(json.dumps(told, default=str, indent=1))
    for name in ("aisp", "bon", "bon_gaussian", "first", "last"):
        print(f"mean {name:14s} {statistics.fmean(row[name] for row in rows):8.3f}")
    for name in ("bon", "bon_gaussian"):
        mean, error = mean_and_error([row["aisp"] - row[name] for row in rows])
        print(f"AISP minus {name:13s} {mean:+.3f} ± {error:.3f}  ({len(rows)} pairs)")


if __name__ == "__main__":
    main()
