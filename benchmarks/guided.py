"""ARGS against best of n by top-p, at equal samples and at equal CPU time, paired prompt by prompt.

    python -m benchmarks.guided --reward relevance --weights 0.5 1.5 5 --out guided.json
    python -m benchmarks.guided --reward benchmarks.readability:ease

Best of n is drawn once, with the most samples; of that the reward to be expected at any fewer is
known. How long it takes is measured at several n, and what ARGS takes lies between two of them.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

from benchmarks.margins import mean_and_error
from prelogit.align import AlignedResult, align
from prelogit.engine.load import load_model
from prelogit.metrics.best_of import expected_best
from prelogit.rewards.load import load_reward
from prelogit.wire.params import ARGS, BestOfN, Params


def affordable(seconds: float, counts: Sequence[int], taken: Sequence[float]) -> float:
    """How many samples best of n draws in so many seconds: on the line through the counts beside."""
    points = [(0, 0.0), *zip(counts, taken, strict=True)]
    for (n, before), (more, after) in pairwise(points):
        if seconds <= after or more == counts[-1]:
            return n + (more - n) * (seconds - before) / (after - before)
    raise ValueError("no counts")


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, default=Path("scripts/demo_prompts.jsonl"))
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument("--reward", default="relevance")
    parser.add_argument("--weights", type=float, nargs="+", default=[0.5, 1.5, 5.0])
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--counts", type=int, nargs="+", default=[4, 16, 64, 128])
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--paths", type=int, default=8, help="of stochastic ARGS; 0: leave it out")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    prompts = [json.loads(line) for line in args.prompts.open()]
    model, reward = load_model(args.model, dtype=args.dtype), load_reward(args.reward)

    def run(method: Params) -> tuple[list[AlignedResult], float]:
        start = time.process_time()  # generator and reward, both of this process
        results = align(
            model,
            prompts,
            reward,
            method=method,
            max_new_tokens=args.tokens,
            seed=args.seed,
            coherence=False,
        )
        seconds = time.process_time() - start
        if failed := [one.error for one in results if one.status != "succeeded"]:
            raise SystemExit(str(failed[0]))
        return results, seconds

    run(BestOfN(n=args.counts[0]))  # the first steps of a process are slower
    taken = []
    for count in args.counts:
        drawn, seconds = run(BestOfN(n=count))
        taken.append(seconds)
        print(f"best of {count}: {seconds:.1f} s", flush=True)
    samples = [[r for row in one.trace.iterations for r in row.rewards] for one in drawn]
    arms: list[ARGS] = [ARGS(weight=weight, k=args.k) for weight in args.weights]
    if args.paths:
        arms += [
            ARGS(mode="stochastic", n=args.paths, weight=weight, k=args.k)
            for weight in args.weights
        ]
    rows: list[dict[str, Any]] = []
    for method in arms:
        results, seconds = run(method)
        mine = [one.reward or 0.0 for one in results]
        fits = max(1, min(round(affordable(seconds, args.counts, taken)), args.counts[-1]))
        row: dict[str, Any] = {
            "mode": method.mode,
            "n": method.n,
            "weight": method.weight,
            "seconds": seconds,
            "mean": statistics.fmean(mine),
            "scored": sum(one.scored_partials or 0 for one in results),
            "fits": fits,
            "kl": statistics.fmean(one.kl.token_exact or 0.0 for one in results),
            "answers": {one.prompt_id: one.response for one in results},
        }
        for name, count in (("equal n", method.n), ("equal time", fits)):
            pairs = zip(mine, samples, strict=True)
            row[name] = mean_and_error([own - expected_best(all_, count) for own, all_ in pairs])
        rows.append(row)
        print(
            f"{method.mode} n={method.n} w={method.weight:g}: mean {row['mean']:.2f}, "
            f"{seconds:.1f} s = best of {fits}, {row['scored']} texts, KL {row['kl']:.1f}; minus "
            f"best of n at equal n {row['equal n'][0]:+.2f} ± {row['equal n'][1]:.2f}, at equal "
            f"time {row['equal time'][0]:+.2f} ± {row['equal time'][1]:.2f}",
            flush=True,
        )
        if args.out:
            told = {
                "arguments": vars(args),
                "best of n": dict(zip(args.counts, taken, strict=True)),
            }
            args.out.write_text(json.dumps(told | {"rows": rows}, default=str, indent=1))
    for count in args.counts:
        mean = statistics.fmean(expected_best(one, count) for one in samples)
        print(f"best of {count}: mean {mean:.2f}")


if __name__ == "__main__":
    main()
