"""The study's curves as a picture: rewards by samples."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from pathlib import Path

from benchmarks.study_cells import REWARDS, Study, ends, so_far
from prelogit.evaluation.estimate import estimate
from prelogit.metrics.best_of import expected_best


def draw(study: Study, arms: Sequence[str], tops: Sequence[str], path: Path) -> None:
    """Best so far and mean of the round by samples, a panel a reward, with bands of a standard error."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(15, 4.4), layout="constrained", dpi=130)
    for panel, reward in zip(figure.subplots(1, len(REWARDS)), REWARDS, strict=True):
        for arm, colour in zip(arms, ("tab:red", "tab:purple"), strict=False):
            cells = list(study.of(arm, reward).values())
            if not cells:
                continue
            counts = ends(cells[0], reward)
            lines = {
                f"{arm}: best so far": ("-", so_far),
                f"{arm}: mean of the round": (
                    ":",
                    lambda c, r: [statistics.fmean(p) for p in c.rewards[r]],
                ),
            }
            for label, (style, of) in lines.items():
                points = [
                    estimate((c.prompt, of(c, reward)[place]) for c in cells)
                    for place in range(len(counts))
                ]
                _band(panel, counts, points, colour, style, label)
        for top, colour in zip(tops, ("tab:blue", "tab:green"), strict=False):
            cells = list(study.of(top, reward).values())
            if not cells:
                continue
            most = len(cells[0].flat(reward))
            counts = [m for m in (1, 2, 4, 8, 16, 32, 64, 128, 256, 512) if m <= most]
            points = [
                estimate((c.prompt, expected_best(c.flat(reward), m)) for c in cells)
                for m in counts
            ]
            _band(panel, counts, points, colour, "-", f"{top}: expected best")
        panel.set(title=reward, xlabel="samples", xscale="log")
        panel.grid(alpha=0.25)
        if panel.get_legend_handles_labels()[0]:
            panel.legend(fontsize="xx-small")
    figure.savefig(path)


def _band(panel, counts, points, colour, style, label) -> None:  # type: ignore[no-untyped-def]
    means = [p.mean for p in points]
    errors = [p.se or 0.0 for p in points]
    panel.plot(counts, means, color=colour, ls=style, label=label)
    panel.fill_between(
        counts,
        [m - e for m, e in zip(means, errors, strict=True)],
        [m + e for m, e in zip(means, errors, strict=True)],
        color=colour,
        alpha=0.15,
        linewidth=0,
    )
