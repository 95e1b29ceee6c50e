"""What AISP costs beside best of n, and what the engine gains by never running in lock-step.

    python -m benchmarks.iteration --out iteration.json
    python -m benchmarks.iteration --parts overhead waiting

Four parts:

- ``overhead``: one AISP iteration over best of n with equal n; the noise's share of it, and the
  share of weights, update and trace row.
- ``batched``: Batched AISP over best of n with equal samples on prompts of 20 to 400 tokens, in no
  order, through ``prelogit.align``. Answers end by themselves and differ in length between the
  methods, so the ratio per generated token is the fair one; that per candidate stands beside it.
- ``static``: real answers in static batches over the same engine without them.
- ``waiting``: the share of time the engine idles when the reward takes as long as decoding.

With its defaults it takes about an hour on two cores, most of it in ``batched``.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import models
from benchmarks.batched import batched
from benchmarks.overhead import overhead
from benchmarks.report import table, write
from benchmarks.static_batches import compare
from benchmarks.steered import settle
from benchmarks.waiting import waiting

PARTS = ("overhead", "batched", "static", "waiting")


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models.add_options(parser)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS))
    parser.add_argument("--dtype", choices=models.DTYPES, default="fp32")
    parser.add_argument("--rounds", type=int, default=5, help="of overhead, and of static batches")
    parser.add_argument("--length", type=int, default=128, help="prompt tokens of overhead")
    parser.add_argument("--n", type=int, default=32, help="samples of overhead")
    parser.add_argument("--tokens", type=int, default=64, help="new tokens of overhead")
    parser.add_argument("--batched-tokens", type=int, default=32, help="limit, also of waiting")
    parser.add_argument("--prompts", type=int, default=100, help="of batched")
    parser.add_argument("--chunks", type=int, default=4, help="of prompts that take turns")
    parser.add_argument("--batched-n", type=int, default=16)
    parser.add_argument("--iterations", type=int, default=8, help="of batched and waiting")
    parser.add_argument("--batch", type=int, default=8, help="prompts at a time in batched")
    parser.add_argument("--answers", type=int, default=16, help="prompts of static and waiting")
    parser.add_argument("--answer-tokens", type=int, default=128, help="limit of static batches")
    parser.add_argument("--static-n", type=int, default=8, help="samples of a static plan")
    parser.add_argument("--static-batch", type=int, default=4, help="b of static and waiting")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def run_part(part: str, args: argparse.Namespace) -> dict[str, Any]:
    """One part's numbers."""
    model = models.ours(args.model, args.dtype, args.device)
    settle(models.endless(model))
    match part:
        case "overhead":
            return overhead(
                model, length=args.length, n=args.n, tokens=args.tokens, rounds=args.rounds
            )
        case "batched":
            return batched(
                model,
                prompts=args.prompts,
                n=args.batched_n,
                iterations=args.iterations,
                batch=args.batch,
                tokens=args.batched_tokens,
                chunks=args.chunks,
            )
        case "static":
            return compare(
                model,
                prompts=args.answers,
                n=args.static_n,
                iterations=2,
                batch=args.static_batch,
                tokens=args.answer_tokens,
                rounds=min(args.rounds, 3),
            )
        case _:
            return waiting(
                model,
                prompts=args.answers,
                n=args.batched_n,
                iterations=args.iterations,
                batch=args.static_batch,
                tokens=args.batched_tokens,
            )


def show(part: str, found: dict[str, Any]) -> str:
    """The part's table: what was measured, and the mark that it should reach."""
    lines: list[list[object]]
    match part:
        case "overhead":
            lines = [
                ["AISP's iteration over best of n", *found["ratio"], "<= 1.02"],
                ["noise in an iteration", *found["noise_share"], "< 0.02"],
                ["update and trace row in an iteration", *found["update_share"], "< 0.01"],
            ]
        case "batched":
            lines = [
                [f"{one['method']} over {one['baseline']}, {each}", *one[each], mark]
                for one in found["ratios"]
                for each, mark in (("a token", "<= 1.05"), ("a candidate", None))
            ]
        case "static":
            lines = [
                ["static batches over ours", *found["ratio"], ">= 1.7"],
                ["... with b prompts alone", *found["ratio_alone"], None],
                [
                    "rows times steps, static over needed",
                    found["rows_static_over_needed"],
                    None,
                    None,
                ],
            ]
        case _:
            lines = [
                ["idle share, reward as slow as decoding", found["idle_share"], None, "< 0.05"]
            ]
    return table(part, ["", "wall", "cpu", "mark"], lines)


def main() -> None:
    """Run the parts that were asked for, print as it goes."""
    args = arguments()
    models.set_threads(args.threads)
    results: dict[str, Any] = {}
    for part in args.parts:
        results[part] = run_part(part, args)
        print(show(part, results[part]), flush=True)
        write(args.out, "iteration", args, results)


if __name__ == "__main__":
    main()
