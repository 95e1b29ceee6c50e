"""The study's tables as markdown, and its curves as a picture.

    python -m benchmarks.study_tables cells.jsonl --figure docs/images/study.png --out study.json

Every difference is paired by prompt and seed; the seeds of a prompt are averaged first, so that ± is one
standard error over prompts. A difference takes the prompts and seeds that both methods have.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from statistics import fmean

from benchmarks.report import write
from benchmarks.study_cells import REWARDS, Study, ends, load, so_far
from benchmarks.study_estimates import (
    in_errors,
    margin,
    mean,
    ratio,
    ratio_of_rates,
    samples,
    seeds,
)
from benchmarks.study_figure import draw
from prelogit.evaluation.estimate import estimate
from prelogit.evaluation.table import Table, markdown
from prelogit.metrics.best_of import expected_best


def headline(study: Study) -> Table:
    """Each search against both best-of-n forms with as many samples."""
    rows: list[list[object]] = []
    for arm in study.arms():
        if arm.startswith("bon"):
            continue
        n = samples(study, arm)
        top, gauss = f"bon:n={n}", f"bon:gaussian,n={n}"
        for reward in REWARDS:
            if not study.of(arm, reward):
                continue
            over = [margin(study, arm, one, reward) for one in (top, gauss)]
            times = ratio(study, arm, top, reward)
            rows.append(
                [
                    arm,
                    n,
                    reward,
                    seeds(study, arm, reward),
                    mean(study, arm, reward, lambda c, r=reward: c.best(r)),
                    over[0],
                    in_errors(over[0]),
                    over[1],
                    in_errors(over[1]),
                    times,
                ]
            )
    columns = [
        "method",
        "N",
        "reward",
        "prompts x seeds",
        "best",
        "- top-p",
        "se",
        "- Gaussian",
        "se",
        "CPU / top-p",
    ]
    return Table("headline", "Best reward at equal samples", columns, rows, "")


def quality(study: Study) -> Table:
    """What the answers look like: likelihood, the other rewards, how candidates move."""
    rows: list[list[object]] = []
    for reward in REWARDS:
        for arm in study.arms():
            if not study.of(arm, reward):
                continue
            others = [
                mean(study, arm, reward, lambda c, o=other, r=reward: c.chosen[r].rewards.get(o))
                for other in REWARDS
            ]
            first, last = (
                mean(study, arm, reward, lambda c, p=place, r=reward: fmean(c.rewards[r][p]))
                for place in (0, -1)
            )
            nll = mean(study, arm, reward, lambda c, r=reward: c.chosen[r].nll)
            rows.append([reward, arm, nll, *others, first, last])
    columns = ["chosen by", "method", "NLL a token", *REWARDS, "mean of first round", "of last"]
    return Table("quality", "The chosen answers", columns, rows, "")


def options(study: Study) -> Table:
    """Each search against the first one of as many samples that was run, with its KL from the model."""
    rows: list[list[object]] = []
    for reward in REWARDS:
        first: dict[int, str] = {}
        for arm in study.arms():
            if arm.startswith("bon") or not study.of(arm, reward):
                continue
            default = first.setdefault(samples(study, arm), arm)
            difference = None if arm == default else margin(study, arm, default, reward)
            rows.append(
                [
                    reward,
                    arm,
                    seeds(study, arm, reward),
                    mean(study, arm, reward, lambda c, r=reward: c.best(r)),
                    difference,
                    in_errors(difference),
                    mean(study, arm, reward, lambda c: (c.kl or {}).get("exact")),
                    mean(study, arm, reward, lambda c: c.diversity),
                ]
            )
    columns = [
        "reward",
        "method",
        "prompts x seeds",
        "best",
        "- default",
        "se",
        "KL, nats",
        "diversity",
    ]
    return Table("options", "Searches against the default", columns, rows, "")


def equal_time(study: Study) -> Table:
    """Each search of fewer samples against what best of n finds in its CPU time."""
    rows: list[list[object]] = []
    largest = max(samples(study, arm) for arm in study.arms() if arm.startswith("bon"))
    for arm in study.arms():
        n = samples(study, arm)
        if arm.startswith("bon") or n >= largest:
            continue
        for reward in REWARDS:
            for label in ("bon:", "bon:gaussian,"):
                pool, same = f"{label}n={largest}", f"{label}n={n}"
                times = ratio(study, arm, same, reward) or ratio_of_rates(study, arm, pool, reward)
                one, two = study.of(arm, reward), study.of(pool, reward)
                if times is None or not one.keys() & two.keys():
                    continue
                m = max(1, min(largest, round(n * times)))
                found = estimate(
                    (key[0], one[key].best(reward) - expected_best(two[key].flat(reward), m))
                    for key in one.keys() & two.keys()
                )
                rows.append([arm, reward, label.rstrip(":,"), times, m, found, in_errors(found)])
    columns = ["method", "reward", "against", "time ratio", "its samples", "difference", "se"]
    return Table("time", "At equal CPU time", columns, rows, "")


def half(study: Study, arm: str, top: str) -> Table:
    """After how many samples a search's mean curve reaches what best of n reaches with all of its own."""
    rows: list[list[object]] = []
    for reward in REWARDS:
        one, two = study.of(arm, reward), study.of(top, reward)
        keys = sorted(one.keys() & two.keys())
        if not keys:
            continue
        target = fmean(two[key].best(reward) for key in keys)
        curve = [
            fmean(column)
            for column in zip(*(so_far(one[key], reward) for key in keys), strict=True)
        ]
        counts = ends(one[keys[0]], reward)
        reached = next((m for m, r in zip(counts, curve, strict=True) if r >= target), None)
        rows.append([reward, len(keys), target, reached, counts[-1], curve[-1]])
    columns = [
        "reward",
        "prompts",
        f"mean best of {top}",
        "reached after",
        "of",
        "mean best in the end",
    ]
    return Table("half", f"Samples of {arm} until it is as good", columns, rows, "")


def main() -> None:
    """Print all tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("cells", type=Path, nargs="+")
    parser.add_argument("--model", default="smollm2-135m")
    parser.add_argument(
        "--search", default="aisp:n=32,iterations=15", help="whose curve is compared"
    )
    parser.add_argument("--top", default="bon:n=512")
    parser.add_argument("--figure", type=Path)
    parser.add_argument("--out", type=Path)
    args = parser.parse_args()
    study = load(args.cells, args.model)
    tables = [
        headline(study),
        quality(study),
        equal_time(study),
        half(study, args.search, args.top),
    ]
    for table in tables:
        print(markdown(table))
    if args.figure:
        gauss = args.top.replace("bon:", "bon:gaussian,")
        draw(study, [args.search], [args.top, gauss], args.figure)
    found = {t.name: {"columns": t.columns, "rows": json.loads(json.dumps(t.rows))} for t in tables}
    args.cells = [str(path) for path in args.cells]
    write(args.out, "study", args, found)


if __name__ == "__main__":
    main()
