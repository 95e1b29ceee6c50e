"""Time of a search against n, iterations, prompts in a batch, and new tokens, one at a time.

    python -m benchmarks.scaling --out scaling.json --plot scaling.png
    python -m benchmarks.scaling --axes n b --rounds 1

Each axis is varied around one middle point, through ``prelogit.align`` with end tokens off, so that
the work is known. Points take turns within a round. ``--plot`` needs ``pip install prelogit[plot]``.

With its defaults it takes about a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

from benchmarks import models
from benchmarks.batched import variety
from benchmarks.prompt_set import mixed
from benchmarks.report import table, write
from benchmarks.rounds import Stopwatch, play
from benchmarks.steered import settle
from prelogit.align import align
from prelogit.engine.load import Model
from prelogit.wire.params import AISP

AXES: dict[str, list[int]] = {
    "n": [4, 8, 16, 32, 64, 128],
    "iterations": [1, 2, 4, 8],
    "b": [1, 2, 4, 8],
    "tokens": [8, 16, 32, 64, 128],
}
MIDDLE = {"n": 16, "iterations": 1, "b": 1, "tokens": 32}
LABELS = {
    "n": "n, samples an iteration",
    "iterations": "iterations, and one more for the final draw",
    "b": "b, prompts in a batch",
    "tokens": "new tokens",
}
Point = tuple[int, int, int, int]  # n, iterations, b, tokens


def points(axis: str, values: list[int]) -> list[Point]:
    """The points of one axis: all else as in the middle."""
    found = [{**MIDDLE, axis: value} for value in values]
    return [(at["n"], at["iterations"], at["b"], at["tokens"]) for at in found]


def run_point(watch: Stopwatch, model: Model, at: Point) -> None:
    """One search; its lap is named by the point."""
    n, iterations, b, tokens = at
    method = AISP(n=n, iterations=iterations, batch_size=b)
    prompts = mixed(b, model.tokenizer)
    with watch.lap(str(at)):
        results = align(model, prompts, variety, method=method, max_new_tokens=tokens)
    made = sum(result.generated_tokens for result in results)
    if made != b * n * (iterations + 1) * tokens:
        raise RuntimeError(f"{at}: {made} tokens, {[result.error for result in results]}")


def measure(model: Model, axes: dict[str, list[int]], rounds: int) -> dict[str, Any]:
    """Median seconds of each point, and tokens a second."""
    every = list(dict.fromkeys(at for axis, values in axes.items() for at in points(axis, values)))
    settle(model)
    run_point(Stopwatch(), model, (2, 1, 1, 4))

    def contender(at: Point) -> Any:
        return lambda watch: run_point(watch, model, at)

    watch = play([contender(at) for at in every], rounds)
    found: dict[str, Any] = {}
    for axis, values in axes.items():
        found[axis] = []
        for value, at in zip(values, points(axis, values), strict=True):
            n, iterations, b, tokens = at
            seconds = watch.median(str(at))
            made = n * (iterations + 1) * b * tokens
            found[axis].append(
                {"value": value, "seconds": seconds, "tokens_a_second": made / seconds.wall}
            )
    return {"axes": found, "laps": watch.laps}


def draw(found: dict[str, Any], path: Path) -> None:
    """One panel an axis: seconds by wall clock and CPU, beside what proportional would be."""
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise SystemExit("drawing needs matplotlib: pip install 'prelogit[plot]'") from error
    figure = Figure(figsize=(10, 7), layout="constrained")
    panels = figure.subplots(2, 2, squeeze=False).flatten()
    for panel, (axis, row) in zip(panels, found["axes"].items(), strict=False):
        values = [at["value"] for at in row]
        for clock in ("wall", "cpu"):
            seconds = [getattr(at["seconds"], clock) for at in row]
            panel.plot(values, seconds, marker="o", label=clock)
        last = row[-1]["seconds"].wall
        panel.plot([0, values[-1]], [0, last], ls=":", color="0.6", label="proportional")
        panel.set_xlabel(LABELS[axis])
        panel.set_ylabel("seconds")
        panel.set_xlim(left=0)
        panel.set_ylim(bottom=0)
    for panel in panels[len(found["axes"]) :]:
        panel.set_visible(False)
    panels[0].legend()
    figure.savefig(path)


def show(found: dict[str, Any]) -> str:
    """One table an axis."""
    heads = ["wall", "cpu", "tokens/s"]
    return "\n".join(
        table(
            f"{LABELS[axis]} (else {', '.join(f'{k} {v}' for k, v in MIDDLE.items() if k != axis)})",
            [axis, *heads],
            [[at["value"], *at["seconds"], at["tokens_a_second"]] for at in row],
        )
        for axis, row in found["axes"].items()
    )


def arguments() -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    models.add_options(parser)
    parser.add_argument("--dtype", choices=models.DTYPES, default="fp32")
    parser.add_argument("--axes", nargs="+", choices=AXES, default=list(AXES))
    parser.add_argument("--largest", type=int, help="leave out larger values on every axis")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--plot", type=Path, help="a PNG file")
    parser.add_argument("--out", type=Path)
    return parser.parse_args()


def main() -> None:
    """Measure the axes, print and draw them."""
    args = arguments()
    models.set_threads(args.threads)
    model = models.endless(models.ours(args.model, args.dtype, args.device))
    largest = args.largest or max(max(values) for values in AXES.values())
    axes = {axis: [v for v in AXES[axis] if v <= largest] for axis in args.axes}
    found = measure(model, axes, args.rounds)
    print(show(found))
    write(args.out, "scaling", args, found)
    if args.plot is not None:
        draw(found, args.plot)


if __name__ == "__main__":
    main()
