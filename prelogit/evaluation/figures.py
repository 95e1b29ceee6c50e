"""The paper's Figures 3 and 4, and KL against reward, as pictures."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from prelogit.core.errors import InputError
from prelogit.evaluation.arms import Arm
from prelogit.evaluation.curves import Point, curves, margins
from prelogit.evaluation.estimate import Estimate
from prelogit.evaluation.results import Results, is_best_of_n
from prelogit.evaluation.tables import studied
from prelogit.evaluation.varied import batches_of

# (x, y and its band)
_Line = list[tuple[float, Estimate | None]]


def draw_figures(parts: Sequence[Results], folder: Path) -> list[str]:
    """Each figure that the methods give, one row of panels a reward; bands of a standard error.

    Returns: names of the files.
    Raises:  InputError: matplotlib is not installed.
    """
    with_batches = bool(batches_of(parts[0].arms))
    with_kl = any(
        studied(part.arms, arm) and _kl_lines(part) for part in parts for arm in part.arms
    )
    _draw(parts, 3 if any(margins(part) for part in parts) else 2, _figure3, folder / "figure3.png")
    if with_batches:
        _draw(parts, 1, _figure4, folder / "figure4.png")
    if with_kl:
        _draw(parts, 1, _kl, folder / "table3.png")
    return ["figure3.png"] + ["figure4.png"] * with_batches + ["table3.png"] * with_kl


def _draw(
    parts: Sequence[Results], columns: int, draw: Callable[[Results, Any], None], path: Path
) -> None:
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise InputError(
            "drawing needs matplotlib: pip install 'prelogit[plot]'", field="plot"
        ) from error
    size = (5.0 * columns + (2.0 if columns == 1 else 0), 4.2 * len(parts))
    figure: Any = Figure(figsize=size, layout="constrained", dpi=130)
    panels = figure.subplots(len(parts), columns, squeeze=False)
    for part, row in zip(parts, panels, strict=True):
        draw(part, row)
        for panel in row:
            panel.set_ylabel(f"reward ({part.reward})", parse_math=False)
            panel.grid(alpha=0.25)
            if panel.get_legend_handles_labels()[0]:
                panel.legend(fontsize="x-small")
    figure.savefig(path)


def _figure3(part: Results, panels: Any) -> None:
    """Best so far, mean and best of each round, and the margin; the first panel names the colours."""
    left, right, *more = panels
    by_label: dict[str, list[Point]] = {}
    for point in curves(part):
        by_label.setdefault(point.label, []).append(point)
    for place, (label, points) in enumerate(by_label.items()):
        colour = f"C{place % 10}"
        _band(left, [(p.spent, p.best_so_far) for p in points], colour, label)
        _band(right, [(p.spent, p.mean) for p in points], colour, "")
        _band(right, [(p.spent, p.best) for p in points], colour, "", "--")
    left.set_title("best so far")
    right.set_title("mean of each round, and its best (dashed)")
    for panel in more:
        reference = next((arm.label for arm in part.references if is_best_of_n(arm)), "")
        panel.axhline(0.0, color="0.5", lw=0.8)
        panel.set_title(f"best so far minus {reference} at equal {part.cost}", parse_math=False)
        for label in by_label:
            line: _Line = [(p.spent, p.best_so_far) for p in margins(part) if p.label == label]
            _band(panel, line, f"C{list(by_label).index(label) % 10}", "")
    for panel in panels:
        panel.set_xlabel(f"{part.cost} a prompt")


def _figure4(part: Results, panels: Any) -> None:
    """Batched AISP by (b, n); best of n as level lines."""
    panel = panels[0]
    split = batches_of(part.arms)
    line: _Line = [(float(place), _reward(part, arm)) for place, arm in enumerate(split)]
    _band(panel, line, "C0", "Batched AISP")
    whole = [arm for arm in part.arms if is_best_of_n(arm)]
    for place, arm in enumerate(whole, start=1):
        level = _reward(part, arm)
        flat: _Line = [(-0.3, level), (len(split) - 0.7, level)]
        _band(panel, flat, f"C{place % 10}", arm.label, "--", marker="")
    names = [f"b={a.params.batch_size}, n={a.params.samples // a.params.batch_size}" for a in split]
    panel.set_xticks(range(len(split)), names)
    panel.set_xlabel("prompts together and samples of each, at equal decoding rounds")


def _kl(part: Results, panels: Any) -> None:
    """Exact token KL against the best reward, a point a method; those of one lambda study joined."""
    panel = panels[0]
    for place, (name, points) in enumerate(_kl_lines(part).items()):
        points.sort(key=lambda point: point[1].mean)
        panel.errorbar(
            [kl.mean for _, kl, _ in points],
            [reward.mean for _, _, reward in points],
            xerr=[kl.se or 0.0 for _, kl, _ in points],
            yerr=[reward.se or 0.0 for _, _, reward in points],
            marker="o", capsize=2, label=name, color=f"C{place % 10}",
        )  # fmt: skip
        for arm, kl, reward in points if len(points) > 1 else ():
            text = f" λ {arm.fields.get('lambda')}"
            panel.annotate(text, (kl.mean, reward.mean), fontsize="x-small", parse_math=False)
    panel.set_xlabel("exact token KL from the base model (nats)")


def _kl_lines(part: Results) -> dict[str, list[tuple[Arm, Estimate, Estimate]]]:
    lines: dict[str, list[tuple[Arm, Estimate, Estimate]]] = {}
    for arm in part.arms:
        kl = part.mean(arm, lambda run: run.result.kl.token_exact)
        reward = _reward(part, arm)
        if kl is not None and reward is not None:
            rest = {name: value for name, value in arm.fields.items() if name != "lambda"}
            lines.setdefault(json.dumps(rest), []).append((arm, kl, reward))
    return {_shortest([arm.label for arm, _, _ in found]): found for found in lines.values()}


def _shortest(labels: list[str]) -> str:
    return min(labels, key=len)


def _reward(part: Results, arm: Arm) -> Estimate | None:
    return part.mean(arm, lambda run: run.result.reward)


def _band(
    panel: Any, points: _Line, colour: str, label: str, style: str = "-", marker: str = "."
) -> None:
    known = [(x, found) for x, found in points if found is not None]
    if not known:
        return
    xs = [x for x, _ in known]
    means = [found.mean for _, found in known]
    panel.plot(xs, means, marker=marker, color=colour, label=label, ls=style)
    if len(known) == 1:  # too narrow for a band
        panel.errorbar(xs, means, [known[0][1].se or 0.0], color=colour, capsize=3)
    low = [found.mean - (found.se or 0.0) for _, found in known]
    high = [found.mean + (found.se or 0.0) for _, found in known]
    panel.fill_between(xs, low, high, color=colour, alpha=0.15, linewidth=0)
