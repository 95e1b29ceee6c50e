"""A job-wide budget of samples against the same total spread evenly, paired prompt by prompt.

    python -m benchmarks.budgets --prompts benchmarks/prompts/held_out.jsonl scripts/demo_prompts.jsonl

Both draw the same samples in all. Prints the mean best reward of both, the paired difference with
its standard error (over prompts and seeds), and how many samples a prompt got.
"""

from __future__ import annotations

import argparse
import json
import statistics
import time
from pathlib import Path
from typing import Any

from benchmarks.margins import mean_and_error
from prelogit.align import align
from prelogit.engine.load import load_model
from prelogit.rewards.load import load_reward
from prelogit.wire.jobs import Budget
from prelogit.wire.params import AISP


def main() -> None:
    """Run the comparison and print it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prompts", type=Path, nargs="+", required=True)
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument("--dtype", default="float32")
    parser.add_argument(
        "--rewards", nargs="+", default=["relevance", "benchmarks.readability:ease"]
    )
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1])
    parser.add_argument("--tokens", type=int, default=24)
    parser.add_argument("--n", type=int, default=8, help="samples a round")
    parser.add_argument("--rounds", type=int, default=8, help="of a prompt in the even spread")
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()

    prompts = [json.loads(line) for path in args.prompts for line in path.open()]
    model = load_model(args.model, dtype=args.dtype)
    budget = Budget(samples=len(prompts) * args.n * args.rounds)
    arms: dict[str, dict[str, Any]] = {
        "even": {"method": AISP(n=args.n, iterations=args.rounds - 1)},
        "budget": {"method": AISP(n=args.n), "budget": budget},
    }
    rows: list[dict[str, Any]] = []
    for name in args.rewards:
        reward = load_reward(name)
        for seed in args.seeds:
            start = time.process_time()
            found = {
                arm: align(
                    model,
                    prompts,
                    reward,
                    max_new_tokens=args.tokens,
                    seed=seed,
                    coherence=False,
                    nll=False,
                    **fields,
                )
                for arm, fields in arms.items()
            }
            for even, shared in zip(found["even"], found["budget"], strict=True):
                rows.append(
                    {
                        "reward": name,
                        "seed": seed,
                        "prompt": even.prompt_id,
                        "even": even.reward,
                        "budget": shared.reward,
                        "samples": shared.samples,
                        "stopped": shared.stopped,
                    }
                )
            print(f"{name}, seed {seed}: {time.process_time() - start:.0f} s of CPU", flush=True)
        _print([row for row in rows if row["reward"] == name], name, budget.samples)
        if args.out:  # after every reward: a run that is cut short keeps what it has
            args.out.write_text(json.dumps({"arguments": vars(args), "rows": rows}, default=str))


def _print(rows: list[dict[str, Any]], name: str, budget: int) -> None:
    seeds = len({row["seed"] for row in rows})
    for arm in ("even", "budget"):
        print(f"{name}: mean best, {arm:7s}{statistics.fmean(row[arm] for row in rows):8.3f}")
    mean, error = mean_and_error([row["budget"] - row["even"] for row in rows])
    print(f"{name}: budget minus even {mean:+.3f} ± {error:.3f}  ({len(rows)} pairs)")
    had = [row["samples"] for row in rows]
    print(f"{name}: a prompt got {min(had)} to {max(had)} samples, in all {sum(had)}", end=" ")
    print(f"of {seeds * budget}", flush=True)


if __name__ == "__main__":
    main()
